import math

import numpy as np
import pytest
import torch

from evaluation.metrics.extrapolation import fit_line, frechet_infinity
from evaluation.metrics.feature_frechet import frechet_from_features
from evaluation.metrics.frechet_resampling import (
    GramResampler,
    MomentResampler,
    affordable,
    make_resampler,
)

DIM = 12


def clips(count, *, seed, windows=1, dim=DIM, scale=1.0, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    return [
        shift + scale * torch.randn(windows, dim, generator=rng, dtype=torch.float64)
        for _ in range(count)
    ]


def test_a_line_through_exact_values():
    line = fit_line([100, 200, 400], [3 + 50 / n for n in (100, 200, 400)])
    assert (line.limit, line.slope, line.r2) == (3.0, 50.0, 1.0)
    flat = fit_line([1, 2], [2.0, 2.0])
    assert flat.limit == 2.0
    assert math.isnan(flat.r2)
    with pytest.raises(ValueError, match="finite values at two or more counts"):
        fit_line([5, 5], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite values"):
        fit_line([5, 6], [1.0, math.nan])


def test_the_limit_of_both_sides_is_nearer_the_truth_than_the_distance():
    """N(0, 1) and N(0.2, 1.5^2) in 12 dimensions: 12 * (0.2^2 + 0.5^2) = 3.48."""
    truth = DIM * (0.04 + 0.25)
    errors = []
    for seed in range(8):
        a, b = clips(120, seed=seed), clips(120, seed=100 + seed, scale=1.5, shift=0.2)
        plain = float(frechet_from_features(torch.cat(a), torch.cat(b)))
        line = frechet_infinity(a, b, rng=np.random.default_rng(seed))
        errors.append((plain - truth, line.limit - truth))
    plain, limit = np.mean(errors, axis=0)
    assert plain > 0.2  # the bias, about 0.4
    assert abs(limit) < 0.4 * plain


def test_fadtk_draws_with_replacement_so_its_limit_is_the_biased_distance():
    a, b = clips(400, seed=1), clips(400, seed=2)
    plain = float(frechet_from_features(torch.cat(a), torch.cat(b)))
    limits = [
        frechet_infinity(a, b, recipe="fadtk", fewest=200, rng=np.random.default_rng(s)).limit
        for s in range(6)
    ]
    assert np.mean(limits) == pytest.approx(plain, rel=0.1)
    ours = frechet_infinity(a, b, rng=np.random.default_rng(0)).limit
    assert ours < 0.6 * plain  # one Gaussian: the truth is zero


def test_seeds_repeat_and_global_streams_rest():
    a, b = clips(40, seed=1), clips(40, seed=2)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    lines = [frechet_infinity(a, b, rng=np.random.default_rng(s)) for s in (3, 3, 4)]
    assert lines[0] == lines[1] != lines[2]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_options_and_sets_that_are_too_small_are_refused():
    a, b = clips(20, seed=1), clips(20, seed=2)
    rng = np.random.default_rng(0)
    for options, text in (
        ({"recipe": "ours"}, "recipe must be one of both, fadtk"),
        ({"points": 2}, "points must be at least 3"),
        ({"fewest": 1}, "fewest must be at least 2"),
        ({"recipe": "fadtk"}, "draws from 500 windows up, there are 20"),
    ):
        with pytest.raises(ValueError, match=text):
            frechet_infinity(a, b, rng=rng, **options)
    with pytest.raises(ValueError, match="needs 8 or more clips, got 7"):
        frechet_infinity(a[:7], b, rng=rng)


@pytest.mark.parametrize(("windows", "dim"), [(1, 40), (3, 6), (3, 40)])
def test_resampled_distances_are_those_of_repeated_clips(windows, dim):
    a = clips(24, seed=1, windows=windows, dim=dim)
    b = clips(24, seed=2, windows=windows, dim=dim, shift=0.3)
    b[3] = b[3][:0]  # a clip without windows
    rng = np.random.default_rng(5)
    counts = rng.multinomial(24, np.full(24, 1 / 24), size=4)
    for kind in (GramResampler, MomentResampler):
        found = kind(a, b).distances(counts, counts)
        for row, value in zip(counts, found, strict=True):
            taken = np.repeat(np.arange(24), row)
            rows = [torch.cat([side[i] for i in taken]) for side in (a, b)]
            assert value == pytest.approx(float(frechet_from_features(*rows)), rel=1e-6)
    nothing = np.zeros((1, 24), dtype=int)
    assert np.isnan(make_resampler(a, b).distances(nothing, nothing)).all()


def test_the_cheaper_form_is_chosen_and_many_dimensions_are_summed_in_groups(monkeypatch):
    few = clips(20, seed=1, dim=64), clips(20, seed=2, dim=64)
    assert isinstance(make_resampler(*few), GramResampler)
    many = clips(200, seed=1), clips(200, seed=2)
    assert isinstance(make_resampler(*many), MomentResampler)
    assert make_resampler(*many).units == (200, 200)
    monkeypatch.setattr("evaluation.metrics.frechet_resampling.KEPT", 8 * 100 * 30)
    grouped = make_resampler(*many)
    assert 16 <= grouped.units[0] < 200
    ones = [np.ones((1, n), dtype=int) for n in grouped.units]
    whole = float(frechet_from_features(*(torch.cat(side) for side in many)))
    assert grouped.distances(*ones)[0] == pytest.approx(whole, rel=1e-9)
    assert affordable(grouped, 400) == 400
    grouped.side = 2000
    assert affordable(grouped, 400) == 40
