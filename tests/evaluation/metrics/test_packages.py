"""Other packages' numbers for the same embeddings, logits and waveforms.

tests/golden/make_metric_packages.py ran torch-fidelity and ignite on ordinary and on degenerate
sets; torchmetrics, which is installed, runs beside ours.
"""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio
from torchmetrics.functional.regression import kl_divergence as divergence_of_torchmetrics
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore as InceptionOfTorchmetrics

from evaluation.metrics.divergence import kl_divergence
from evaluation.metrics.feature_frechet import frechet_from_features
from evaluation.metrics.inception import inception_score
from evaluation.metrics.inception_score import InceptionScore
from evaluation.metrics.kernel import kernel_distance
from evaluation.metrics.neighbors import neighborhoods
from evaluation.metrics.si_sdr import si_sdr

GOLDEN = Path(__file__).parents[2] / "golden"
SINGULAR = ("wide", "half_wide", "two_rows")  # fewer rows than dimensions


def load_cases():
    spec = importlib.util.spec_from_file_location("metric_cases", GOLDEN / "metric_cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = load_cases()
STORED = dict(np.load(GOLDEN / "metric_packages.npz"))
each_set = pytest.mark.parametrize("name", CASES.SETS)
each_seed = pytest.mark.parametrize("seed", CASES.SEEDS)


class AsItIs(torch.nn.Module):
    """The network of torchmetrics' scores of images: the embeddings are given as images."""

    def __init__(self, width):
        super().__init__()
        self.num_features = width

    def forward(self, rows):
        return rows


def pair(name, seed):
    return tuple(torch.from_numpy(rows) for rows in CASES.embeddings(name, seed))


@each_set
@each_seed
def test_frechet_distance_of_torch_fidelity_and_torchmetrics(name, seed):
    """Both take eigenvalues of a product: where it is singular they have half of the digits."""
    a, b = pair(name, seed)
    scale = float(a.var(dim=0).sum() + b.var(dim=0).sum())
    tolerance = (2e-8 if name in SINGULAR else 1e-11) * scale
    ours = float(frechet_from_features(a, b))
    assert ours == pytest.approx(float(STORED[f"frechet__{name}__{seed}"]), rel=0, abs=tolerance)
    metric = FrechetInceptionDistance(feature=AsItIs(a.shape[1]))
    metric.set_dtype(torch.float64)
    metric.update(a, real=True)
    metric.update(b, real=False)
    far = 1e-6 if name == "far" else 0.0  # its sums of squares are of numbers near 1000
    assert ours == pytest.approx(float(metric.compute()), rel=0, abs=tolerance + far * scale)


@each_set
@each_seed
def test_kernel_distance_of_torch_fidelity_and_ignite(name, seed):
    """Ours adds 1e-8 to the denominator of the kernel, as kadtk does, and they do not."""
    a, b = (rows[: min(map(len, pair(name, seed)))] for rows in pair(name, seed))
    bandwidth = (CASES.width(a.numpy()) ** 2 - 0.5e-8) ** 0.5
    ours = float(kernel_distance(a, b, bandwidth=bandwidth, scale=1.0))
    fidelity, ignite = STORED[f"kernel__{name}__{seed}"]
    assert ours == pytest.approx(fidelity, rel=0, abs=1e-9)
    assert max(0.0, ours) == pytest.approx(ignite, rel=0, abs=2e-7)  # float32, and never below zero


@each_set
@each_seed
@pytest.mark.parametrize("k", CASES.NEIGHBORS)
def test_precision_and_recall_of_torch_fidelity(name, seed, k):
    a, b = pair(name, seed)
    key = f"neighbors__{name}__{seed}__{k}"
    if key not in STORED:
        with pytest.raises(ValueError, match=f"needs more than {k}"):
            neighborhoods(a, b, k=k)
        return
    found = neighborhoods(a, b, k=k)
    ours = [float(found.precision.mean()), float(found.recall.mean())]
    np.testing.assert_allclose(ours, STORED[key], rtol=1e-6)  # theirs are means in float32


@pytest.mark.parametrize("name", CASES.LOGITS)
@pytest.mark.parametrize("splits", CASES.SPLITS)
@each_seed
def test_inception_score_of_torch_fidelity(name, splits, seed):
    rows = torch.from_numpy(CASES.logits(name, seed))
    metric = InceptionScore(rows.shape[1], splits=splits)
    metric.update(rows)
    found = [float(value) for value in metric.mean_and_spread()]
    np.testing.assert_allclose(
        found, STORED[f"inception__{name}__{seed}__{splits}"], rtol=1e-12, atol=1e-12
    )


@pytest.mark.filterwarnings("ignore:std.*degrees of freedom")
@pytest.mark.parametrize("splits", CASES.SPLITS)
@each_seed
def test_inception_score_of_torchmetrics(splits, seed):
    """It draws the order from torch's global stream, and its spread is that of a sample."""
    rows = torch.from_numpy(CASES.logits("plain", seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it keeps
        metric = InceptionOfTorchmetrics(feature=AsItIs(rows.shape[1]), splits=splits)
    metric.update(rows)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = metric.compute()
        torch.manual_seed(seed)
        order = torch.randperm(len(rows))
    mean, spread = inception_score(rows[order], splits=splits)
    assert float(mean) == pytest.approx(float(expected[0]), rel=1e-12)
    if splits > 1:
        sample = float(spread) * (splits / (splits - 1)) ** 0.5
        assert sample == pytest.approx(float(expected[1]), rel=1e-10)


@pytest.mark.parametrize("name", ["plain", "uneven", "flat"])
@each_seed
def test_divergence_of_torchmetrics(name, seed):
    p, q = (torch.from_numpy(CASES.logits(name, number)) for number in (seed, seed + 10))
    theirs = divergence_of_torchmetrics(p.log_softmax(dim=1), q.log_softmax(dim=1), log_prob=True)
    torch.testing.assert_close(kl_divergence(p, q).mean(), theirs, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("zero_mean", [True, False])
@pytest.mark.parametrize("length", [3, 1000])
@each_seed
def test_distortion_of_torchmetrics(zero_mean, length, seed):
    numbers = np.random.default_rng(seed)
    reference = torch.from_numpy(numbers.standard_normal((4, length)) + 0.2)
    generated = 0.7 * reference + 0.1 * torch.from_numpy(numbers.standard_normal((4, length)))
    theirs = scale_invariant_signal_distortion_ratio(generated, reference, zero_mean=zero_mean)
    ours = si_sdr(reference, generated, zero_mean=zero_mean)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
