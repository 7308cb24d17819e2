import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from evaluation.metrics.inception import inception_score, sound_order
from evaluation.metrics.inception_score import InceptionScore

OUTSIDE = Path(__file__).parents[4] / "shared" / "fixtures" / "metrics" / "inception.npz"


def logits(count=43, classes=9, *, seed=0):
    return torch.from_numpy(3 * np.random.default_rng(seed).standard_normal((count, classes)))


@pytest.mark.skipif(not OUTSIDE.is_file(), reason="shared fixtures are not here")
def test_audioldm_evals_value():
    golden = np.load(OUTSIDE)
    metric = InceptionScore(527)
    for piece in torch.from_numpy(golden["logits64"]).split(7):
        metric.update(piece)
    mean, std = metric.mean_and_spread()
    assert float(mean) == pytest.approx(float(golden["is_mean"]), rel=1e-10)
    assert float(std) == pytest.approx(float(golden["is_std"]), rel=1e-9)


def test_an_independent_computation():
    values = logits()
    order = np.random.RandomState(2020).permutation(43)
    p = scipy.special.softmax(values.numpy()[order], axis=1)
    scores = []
    for i in range(10):
        part = p[i * 43 // 10 : (i + 1) * 43 // 10]
        scores.append(np.exp(scipy.special.rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()))
    metric = InceptionScore(9)
    metric.update(values)
    mean, std = metric.mean_and_spread()
    assert float(mean) == pytest.approx(np.mean(scores), rel=1e-12)
    assert float(std) == pytest.approx(np.std(scores), rel=1e-10)


def test_closed_forms():
    """Sure and all different: as many as there are; all alike, however sure: one."""
    score, spread = inception_score(1000 * torch.eye(6), splits=1)
    assert float(score) == pytest.approx(6.0)
    assert float(spread) == 0.0
    alike = logits(1).expand(20, 9)
    assert float(inception_score(alike, splits=4)[0]) == pytest.approx(1.0)
    assert math.isfinite(float(inception_score(1e300 * torch.eye(3).double(), splits=1)[0]))


def test_orders():
    assert sound_order(5, order="given", seed=1).tolist() == [0, 1, 2, 3, 4]
    seeded = [sound_order(50, order="seeded", seed=s).tolist() for s in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    sound_order(50, order="audioldm_eval", seed=0)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_positions_undo_the_order_of_arrival():
    values = logits()
    whole, mixed = InceptionScore(9), InceptionScore(9)
    whole.update(values)
    shuffled = torch.randperm(43, generator=torch.Generator().manual_seed(1))
    for piece in shuffled.split(10):
        mixed.update(values[piece], positions=piece)
    torch.testing.assert_close(mixed.compute(), whole.compute(), rtol=0, atol=0)


def test_merged_metrics_have_the_order_of_the_positions():
    values = logits()
    whole, first, second = InceptionScore(9), InceptionScore(9), InceptionScore(9)
    whole.update(values)
    first.update(values[:20], positions=torch.arange(20))
    second.update(values[20:], positions=torch.arange(20, 43))
    second.merge_state(first)
    torch.testing.assert_close(second.compute(), whole.compute(), rtol=0, atol=0)


def test_what_it_cannot_use_is_said():
    with pytest.raises(ValueError, match="5 sounds cannot be split in 10"):
        inception_score(logits(5))
    with pytest.raises(ValueError, match="NaN"):
        inception_score(logits() * math.nan)
    with pytest.raises(ValueError, match="splits must be at least 1"):
        inception_score(logits(), splits=0)
    with pytest.raises(ValueError, match=r"expected logits \[N, C\]"):
        inception_score(logits()[0])
    with pytest.raises(ValueError, match="order must be one of"):
        InceptionScore(9, order="shuffled")
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        InceptionScore(0)
    metric = InceptionScore(9)
    with pytest.raises(ValueError, match=r"expected logits \[B, 9\], got \[43, 8\]"):
        metric.update(logits()[:, :8])
    with pytest.raises(ValueError, match="expected 43 positions"):
        metric.update(logits(), positions=torch.arange(3))
