from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics.gaussian import (
    frechet_distance,
    merge_moments,
    pack_moments,
    unpack_gaussian,
)

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "frechet.npz")  # golden/make_evaluation.py
CASES = sorted({key.split("__")[0] for key in GOLDEN.files})


def gaussian(rows):
    return rows.mean(dim=0), torch.cov(rows.T)


def samples(count, dim, *, seed, scale=1.0, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=rng, dtype=torch.float64)
    return shift + scale * torch.randn(count, dim, generator=rng, dtype=torch.float64) @ mix


@pytest.mark.parametrize("case", CASES)
def test_matches_the_reference_arrays(case):
    parts = [torch.from_numpy(GOLDEN[f"{case}__{part}"]) for part in ("mu1", "sigma1", "mu2")]
    value = frechet_distance(*parts, torch.from_numpy(GOLDEN[f"{case}__sigma2"]))
    assert value.dtype == torch.float64
    expected = float(GOLDEN[f"{case}__mp50"])
    assert float(value) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_known_gaussians():
    """Diagonal covariances have a closed form: squared differences of the roots."""
    mean_a, mean_b = torch.tensor([0.0, 0.0]).double(), torch.tensor([3.0, 4.0]).double()
    cov_a, cov_b = torch.diag(torch.tensor([1.0, 4.0])), torch.diag(torch.tensor([9.0, 0.0]))
    expected = 25.0 + (1 - 3) ** 2 + (2 - 0) ** 2
    assert float(frechet_distance(mean_a, cov_a, mean_b, cov_b)) == pytest.approx(expected)


def test_agrees_with_scipy_sqrtm_at_full_rank():
    a, b = gaussian(samples(500, 12, seed=1)), gaussian(samples(400, 12, seed=2, shift=0.3))
    root = scipy.linalg.sqrtm((a[1] @ b[1]).numpy())
    expected = (a[0] - b[0]).square().sum() + a[1].trace() + b[1].trace() - 2 * root.trace().real
    torch.testing.assert_close(frechet_distance(*a, *b), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("count_a", "count_b"), [(40, 2000), (40, 50), (2, 2)])
def test_rank_deficient_covariances_keep_their_digits(count_a, count_b):
    """The data themselves are roots of the covariances, so the nuclear norm needs no root."""
    a, b = samples(count_a, 128, seed=1), samples(count_b, 128, seed=2, shift=0.1)
    factors = [(x - x.mean(dim=0)) / (len(x) - 1) ** 0.5 for x in (a, b)]
    cross = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    traces = sum(factor.square().sum() for factor in factors)
    expected = (a.mean(dim=0) - b.mean(dim=0)).square().sum() + traces - 2 * cross
    actual = frechet_distance(*gaussian(a), *gaussian(b))
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    dim=st.integers(1, 16),
    count=st.integers(2, 40),
    log_scale=st.integers(-6, 6),
)
def test_properties_of_a_distance(seed, dim, count, log_scale):
    scale = 10.0**log_scale
    a = samples(count, dim, seed=seed, scale=scale)
    b = samples(count + 3, dim, seed=seed + 1, scale=scale, shift=scale)
    forward = float(frechet_distance(*gaussian_of(a), *gaussian_of(b)))
    backward = float(frechet_distance(*gaussian_of(b), *gaussian_of(a)))
    size = float(gaussian_of(a)[1].trace() + gaussian_of(b)[1].trace())
    assert forward >= -1e-6 * size
    assert backward == pytest.approx(forward, rel=1e-6, abs=1e-9 * size)
    assert abs(float(frechet_distance(*gaussian_of(a), *gaussian_of(a)))) <= 1e-6 * size


def gaussian_of(rows):
    return unpack_gaussian(pack_moments(rows))[1:]


@pytest.mark.parametrize("distance", [1e-3, 1.0, 300.0])
def test_a_mean_shift_of_d_is_d_squared(distance):
    mean, cov = gaussian(samples(4000, 24, seed=7))
    shifted = mean + distance / 24**0.5
    value = float(frechet_distance(mean, cov, shifted, cov))
    assert value == pytest.approx(distance**2, rel=1e-6)


def test_refuses_what_is_not_a_gaussian():
    mean, eye = torch.zeros(3).double(), torch.eye(3).double()
    with pytest.raises(ValueError, match=r"mean \[D\] and a covariance \[D, D\], got \[3\]"):
        frechet_distance(mean, torch.eye(2), mean, eye)
    with pytest.raises(ValueError, match="of one dimension, got 3 and 2"):
        frechet_distance(mean, eye, torch.zeros(2), torch.eye(2))
    with pytest.raises(ValueError, match="NaN or infinite"):
        frechet_distance(mean / 0, eye, mean, eye)
    with pytest.raises(ValueError, match="symmetric"):
        frechet_distance(mean, eye + torch.diag(torch.ones(2), 1), mean, eye)
    with pytest.raises(ValueError, match="positive semi-definite, got eigenvalue -1"):
        frechet_distance(mean, -eye, mean, eye)


def test_merging_nothing_is_nothing():
    empty = torch.zeros(3, 1 + 4 + 16, dtype=torch.float64)
    assert not merge_moments(empty).any()


def test_moments_merge_like_one_pass():
    rows = samples(100, 4, seed=3, shift=5.0)
    pieces = torch.stack([pack_moments(piece) for piece in rows.split([1, 60, 39])])
    count, mean, cov = unpack_gaussian(merge_moments(pieces))
    assert count == 100
    torch.testing.assert_close(mean, rows.mean(dim=0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cov, torch.cov(rows.T), rtol=1e-12, atol=1e-12)
