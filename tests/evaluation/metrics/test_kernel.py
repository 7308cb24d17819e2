import math

import numpy as np
import pytest
import torch

from evaluation.metrics import kernel as module
from evaluation.metrics.kernel import kernel_distance, kernel_sums, median_distance


def rows(count, dim, *, seed, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    return shift + torch.randn(count, dim, generator=rng, dtype=torch.float64)


def by_hand(a, b, width):
    """The formula, pair by pair."""

    def k(x, y):
        return math.exp(-float((x - y).square().sum()) / (2 * width**2 + 1e-8))

    n, m = len(a), len(b)
    own_a = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j)
    own_b = sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j)
    cross = sum(k(x, y) for x in a for y in b)
    return 100 * (own_a / (n * (n - 1)) + own_b / (m * (m - 1)) - 2 * cross / (n * m))


def test_the_formula_pair_by_pair():
    a, b = rows(9, 3, seed=1), rows(7, 3, seed=2, shift=0.5)
    assert float(kernel_distance(a, b, bandwidth=1.7)) == pytest.approx(by_hand(a, b, 1.7), 1e-9)
    for side, own in (("reference", a), ("generated", b)):
        width = float(torch.pdist(own).median())
        found = float(kernel_distance(a, b, bandwidth=side))
        assert found == pytest.approx(by_hand(a, b, width), rel=1e-9)


def test_a_window_with_itself_is_left_out_whatever_rounding_makes_of_its_distance():
    """Far apart beside the bandwidth, no two of them are alike at all."""
    a, b = 1000 * rows(60, 128, seed=1), 1000 * rows(31, 128, seed=2)
    assert float(kernel_distance(a, b, bandwidth=0.01)) == 0.0


def test_kadtk_gives_the_same():
    """kadtk 1.1.0, run on these vectors; it computes in float32, and takes the second's median."""
    rng = np.random.default_rng(7)
    a = torch.from_numpy(rng.standard_normal((60, 12)).astype("f4"))
    b = torch.from_numpy((0.8 * rng.standard_normal((45, 12)) + 0.3).astype("f4"))
    for options, expected in (
        ({"bandwidth": "generated"}, 6.851613521575928),  # kadtk(a, b)
        ({"bandwidth": "reference"}, 5.934798717498779),  # kadtk(b, a): ours for the paper's words
        ({"bandwidth": 3.0}, 7.53023624420166),
    ):
        assert float(kernel_distance(a, b, **options)) == pytest.approx(expected, rel=1e-5)
    assert median_distance(a.double()) == pytest.approx(4.414973258972168, rel=1e-6)


def test_two_pairs_of_points_have_a_closed_form():
    """Own kernels 1 (equal points), cross kernels exp(-d^2 / 2): 2 - 2 exp(-d^2 / 2)."""
    a, b = torch.zeros(2, 1).double(), torch.full((2, 1), 3.0).double()
    expected = 100 * (2 - 2 * math.exp(-9 / 2))
    assert float(kernel_distance(a, b, bandwidth=1.0)) == pytest.approx(expected, rel=1e-7)


def test_gaussians_have_a_closed_form_in_the_mean():
    """MMD^2 of N(0, I) and N(m, I): 2 (b^2 / (b^2 + 2))^(D/2) (1 - exp(-m^2 / (2 b^2 + 4)))."""
    width, dim, shift = 2.0, 3, 1.0
    factor = (width**2 / (width**2 + 2)) ** (dim / 2)
    expected = 200 * factor * (1 - math.exp(-(dim * shift**2) / (2 * width**2 + 4)))
    values = [
        float(
            kernel_distance(
                rows(150, dim, seed=s), rows(150, dim, seed=s + 99, shift=shift), bandwidth=width
            )
        )
        for s in range(10)
    ]
    assert np.mean(values) == pytest.approx(expected, rel=0.05)


def test_sets_of_one_kind_are_as_often_below_zero_as_above():
    values = [
        float(kernel_distance(rows(40, 4, seed=s), rows(40, 4, seed=s + 500))) for s in range(40)
    ]
    assert 8 <= sum(value < 0 for value in values) <= 32
    assert abs(np.mean(values)) < 0.5 * np.std(values)


def test_the_median_is_exact_however_it_is_found(monkeypatch):
    for count in (2, 3, 60, 61):
        own = rows(count, 5, seed=count)
        expected = float(torch.pdist(own).median())
        assert median_distance(own) == pytest.approx(expected, rel=1e-12)
    expected = float(torch.pdist(own).median())
    monkeypatch.setattr(module, "SAMPLED", 500)
    monkeypatch.setattr(module, "ROWS", 16)
    assert median_distance(own) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(module, "SAMPLED", 3)  # they mislead: the search widens
    assert median_distance(own) == pytest.approx(expected, rel=1e-12)
    assert median_distance(torch.ones(9, 4).double()) == 0.0


def test_sums_by_clip_give_the_plain_value_and_that_of_any_resample(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    a, b = rows(20, 4, seed=1), rows(20, 4, seed=2, shift=0.4)
    lengths = [3, 0, 5, 4, 2, 6]
    sums = kernel_sums(list(a.split(lengths)), list(b.split(lengths)), bandwidth=1.5)
    ones = np.ones((1, 6), dtype=int)
    assert 100 * sums.distance(ones, ones)[0] == pytest.approx(by_hand(a, b, 1.5), rel=1e-9)
    part = np.array([[1, 1, 0, 1, 0, 1]])
    kept = [torch.cat([side.split(lengths)[i] for i in (0, 1, 3, 5)]) for side in (a, b)]
    assert 100 * sums.distance(part, part)[0] == pytest.approx(by_hand(*kept, 1.5), rel=1e-9)
    other = [torch.cat([a.split(lengths)[i] for i in (2, 4)])]
    halves = 100 * sums.halves(part)[0]
    assert halves == pytest.approx(by_hand(kept[0], other[0], 1.5), rel=1e-9)


def test_copies_of_a_clip_are_no_evidence():
    """A resample is as unbiased as the set: the mean over resamples stays at the value."""
    a, b = rows(30, 3, seed=1), rows(30, 3, seed=2)
    sums = kernel_sums(list(a[:, None]), list(b[:, None]), bandwidth=1.5)
    counts = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=2000)
    draws = sums.distance(counts, counts)
    ones = np.ones((1, 30), dtype=int)
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - sums.distance(ones, ones)[0]) < 4 * error + 1e-3
    assert np.isnan(sums.distance(0 * ones, 0 * ones)).all()


def test_what_it_cannot_use_is_said():
    a = rows(5, 4, seed=1)
    with pytest.raises(ValueError, match="two or more generated"):
        kernel_distance(a, a[:1])
    with pytest.raises(ValueError, match="NaN"):
        kernel_distance(a, a * math.nan)
    with pytest.raises(ValueError, match="one width, got 4 and 3"):
        kernel_distance(a, a[:, :3])
    with pytest.raises(ValueError, match="half of the reference embeddings or more are the same"):
        kernel_distance(torch.ones(5, 4), a)
    for wrong in ("median", 0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="bandwidth must be above 0 or one of"):
            kernel_distance(a, a, bandwidth=wrong)
