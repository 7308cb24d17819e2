"""What the number of clips adds to a Frechet distance: as simulated sets have it, and how sure."""

import numpy as np
import pytest
import torch

from evaluation.metrics.frechet_resampling import make_resampler
from evaluation.metrics.gaussian import frechet_distance
from evaluation.metrics.sample_bias import FEW, SLOWLY, falls_otherwise, small_sample_bias

DIM, WINDOWS, OWN = 16, 3, 0.6  # windows of a clip share most of what they are
SCALES = torch.exp(-torch.arange(DIM, dtype=torch.float64) / 4)
SETS = 25
LEAST = 0.8  # of 25 intervals of 95 %: three and a half standard deviations below


def draw(sets, clips, rng, *, shift=0.0, scale=1.0, windows=WINDOWS):
    """Return float64 [sets, clips, windows, DIM]."""

    def normal(count):
        return torch.randn(sets, clips, count, DIM, generator=rng, dtype=torch.float64)

    return (scale * (normal(1) + shift) + OWN * normal(windows)) * SCALES


def sides(sets, clips, rng):
    return draw(sets, clips, rng), draw(sets, clips, rng, shift=0.5, scale=1.2)


def moments(rows):
    rows = rows.flatten(1, 2)
    centered = rows - rows.mean(dim=1, keepdim=True)
    return rows.mean(dim=1), centered.transpose(1, 2) @ centered / (rows.shape[1] - 1)


def true_bias(clips):
    """Return the mean distance of many sets, less that of the distributions."""
    rng, found = torch.Generator().manual_seed(0), []
    for _ in range(20):
        (mean_a, cov_a), (mean_b, cov_b) = map(moments, sides(100, clips, rng))
        root = torch.linalg.cholesky(cov_a)
        cross = torch.linalg.eigvalsh(root.transpose(1, 2) @ cov_b @ root).sqrt().sum(dim=1)
        traces = (cov_a + cov_b).diagonal(dim1=1, dim2=2).sum(dim=1)
        found.append((mean_a - mean_b).square().sum(dim=1) + traces - 2 * cross)
    covs = [torch.diag(SCALES**2 * (scale**2 + OWN**2)) for scale in (1.0, 1.2)]
    truth = frechet_distance(torch.zeros(DIM), covs[0], 1.2 * 0.5 * SCALES, covs[1])
    return float(torch.cat(found).mean() - truth)


@pytest.mark.parametrize("clips", [50, 150])
def test_the_bias_is_that_of_many_sets_within_the_ends_it_states(clips):
    rng, truth = torch.Generator().manual_seed(1), true_bias(clips)
    found = [
        small_sample_bias(make_resampler(a, b), rng=np.random.default_rng(0))
        for a, b in zip(*map(list, sides(SETS, clips, rng)), strict=True)
    ]
    estimates = np.array([bias.estimate for bias in found])
    assert estimates.mean() == pytest.approx(truth, rel=0.1)
    assert estimates.std() < 0.15 * truth  # one set says as much as many
    assert np.mean([bias.low <= truth <= bias.high for bias in found]) >= LEAST


def test_clips_in_groups_say_the_same(monkeypatch):
    a, b = (list(side[0]) for side in sides(1, 120, torch.Generator().manual_seed(2)))
    each = small_sample_bias(make_resampler(a, b), rng=np.random.default_rng(0))
    monkeypatch.setattr("evaluation.metrics.sample_bias.MOST_GROUPS", 35)  # some of 3, some of 4
    grouped = small_sample_bias(make_resampler(a, b), rng=np.random.default_rng(0))
    assert grouped.estimate == pytest.approx(each.estimate, rel=0.1)
    assert grouped.estimate != each.estimate


def test_one_in_n_is_told_from_a_slower_fall():
    rng = torch.Generator().manual_seed(3)
    a, b = (list(side[0]) for side in sides(1, 100, rng))
    assert falls_otherwise(make_resampler(a, b), rng=np.random.default_rng(0)) is None
    wide = [list(torch.randn(40, 1, 200, generator=rng)) for _ in range(2)]
    assert falls_otherwise(make_resampler(*wide), rng=np.random.default_rng(0)) == SLOWLY
    few = make_resampler(a[:7], b[:7])
    assert falls_otherwise(few, rng=np.random.default_rng(0)) == FEW
    assert small_sample_bias(few, rng=np.random.default_rng(0)) is None
