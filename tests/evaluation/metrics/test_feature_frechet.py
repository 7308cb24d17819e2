import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics.feature_frechet import METHODS, frechet_by_method, frechet_from_features
from evaluation.metrics.gaussian import frechet_distance

OUTSIDE = Path(__file__).parents[4] / "shared" / "fixtures" / "metrics" / "frechet.npz"


def rows(count, dim, *, seed, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=rng, dtype=torch.float64) / dim**0.5
    return shift + torch.randn(count, dim, generator=rng, dtype=torch.float64) @ mix


@pytest.mark.skipif(not OUTSIDE.is_file(), reason="shared fixtures are not here")
def test_reference_arrays_singular_ones_included():
    golden = np.load(OUTSIDE)
    cases = sorted({key.split("__")[0] for key in golden.files if "__" in key})
    assert {"rankdef_one_128", "rankdef_both_128", "identical_rankdef128"} <= set(cases)
    for case in cases:
        gaussians = [
            torch.from_numpy(golden[f"{case}__{p}"]) for p in ("mu1", "sigma1", "mu2", "sigma2")
        ]
        exact = float(frechet_by_method(*gaussians))
        assert exact == pytest.approx(float(golden[f"{case}__svd"]), rel=1e-9, abs=1e-12), case
        tool = float(frechet_by_method(*gaussians, method="scipy_sqrtm", epsilon=1e-7))
        assert tool == pytest.approx(float(golden[f"{case}__google"]), rel=1e-6, abs=1e-5), case
        stored = [part.float().double() for part in gaussians]
        rounded = float(frechet_by_method(*stored, method="scipy_sqrtm", epsilon=1e-7))
        expected = float(golden[f"{case}__google_float32stats"])
        assert rounded == pytest.approx(expected, rel=1e-6, abs=1e-5), case


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dim", [3, 40])
def test_a_shift_by_d_is_d_squared_however_it_is_computed(method, dim):
    """With fewer rows than dimensions too, where every covariance is singular."""
    a = rows(20, dim, seed=1)
    shift = torch.zeros(dim, dtype=torch.float64)
    shift[:2] = torch.tensor([3.0, 4.0])
    # A root of a singular product has half of the digits: the tools' own, not ours.
    tolerance = 1e-9 if method in METHODS[:3] else 1e-5
    found = float(frechet_from_features(a, a + shift, method=method))
    assert found == pytest.approx(25.0, abs=tolerance)


def test_a_scaling_has_a_closed_form():
    """Covariances S and c^2 S commute: the distance is (c - 1)^2 tr S and the shift of the mean."""
    for count in (30, 300):
        a = rows(count, 50, seed=2)
        a = a - a.mean(dim=0)
        trace = float(a.square().sum()) / (count - 1)
        found = float(frechet_from_features(a, 3 * a))
        assert found == pytest.approx(4 * trace, rel=1e-9)


@pytest.mark.parametrize(("counts", "dim"), [((30, 25), 60), ((30, 200), 60), ((200, 300), 60)])
def test_both_roots_give_one_value_in_every_regime(counts, dim):
    a, b = rows(counts[0], dim, seed=3), rows(counts[1], dim, seed=4, shift=0.2)
    values = [float(frechet_from_features(a, b, method=m)) for m in METHODS[:3]]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_it_agrees_with_sqrtm_where_that_is_well_conditioned():
    a, b = rows(500, 20, seed=5), rows(400, 20, seed=6, shift=0.3)
    cov_a, cov_b = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    shift = float((a.mean(dim=0) - b.mean(dim=0)).square().sum())
    expected = shift + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real
    for method in METHODS:
        assert float(frechet_from_features(a, b, method=method)) == pytest.approx(expected, 1e-9)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 8), st.integers(0, 1000))
def test_never_negative_beyond_noise_and_blind_to_order(n, m, dim, seed):
    a, b = rows(n, dim, seed=seed), rows(m, dim, seed=seed + 1)
    value = float(frechet_from_features(a, b))
    scale = float(a.square().sum() + b.square().sum())
    assert value > -1e-12 * scale
    shuffled = float(frechet_from_features(a.flip(0), b.roll(1, dims=0)))
    assert shuffled == pytest.approx(value, rel=1e-9, abs=1e-12 * scale)
    assert float(frechet_from_features(b, a)) == pytest.approx(value, rel=1e-9, abs=1e-12 * scale)


def test_float32_statistics_are_rounded_once():
    a, b = rows(300, 6, seed=7), rows(300, 6, seed=8)
    exact = float(frechet_from_features(a, b))
    stored = float(frechet_from_features(a, b, statistics="float32"))
    assert stored != exact
    assert stored == pytest.approx(exact, rel=1e-5)


def test_one_dimension_and_float32_come_in():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [5.0], [5.0]])
    found = frechet_from_features(a, b)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(16 + 2)  # variance 2 against none
    assert float(frechet_from_features(a, b, statistics="float32")) == pytest.approx(18)


def test_what_it_cannot_use_is_said():
    a = rows(5, 4, seed=1)
    for wrong, text in (
        (a[:1], "generated: a covariance needs two or more embeddings, got 1"),
        (a[0], r"expected generated embeddings \[N, D\], got \[4\]"),
        (a * math.nan, "generated embeddings hold NaN"),
        (a[:, :3], "expected two sets of one width, got 4 and 3"),
        (a[:, :0], r"expected generated embeddings \[N, D\], got \[5, 0\]"),
    ):
        with pytest.raises(ValueError, match=text):
            frechet_from_features(a, wrong)
    for method in ("features", "covariances", "eigenvalues"):
        with pytest.raises(ValueError, match="too far apart or too wide for a finite distance"):
            frechet_from_features(a, a + 1e200, method=method)
    with pytest.raises(ValueError, match="too far apart or too wide for a finite distance"):
        frechet_distance(a[0], torch.eye(4), a[0] + 1e200, torch.eye(4))
    with pytest.raises(ValueError, match="method must be one of auto, features"):
        frechet_from_features(a, a, method="sqrt")
    with pytest.raises(ValueError, match="statistics must be one of float64, float32"):
        frechet_from_features(a, a, statistics="float16")
    with pytest.raises(ValueError, match="forms no covariance"):
        frechet_from_features(a, a, method="features", statistics="float32")
    with pytest.raises(ValueError, match="needs embeddings"):
        frechet_by_method(a[0], a[:4], a[0], a[:4], method="features")
