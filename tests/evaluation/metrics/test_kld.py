import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from evaluation.metrics.kld import KLDivergence, kl_divergence

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "kld.npz")  # golden/make_evaluation.py
REFERENCE = torch.from_numpy(GOLDEN["target_logits"])
GENERATED = torch.from_numpy(GOLDEN["pred_logits"])


@pytest.mark.parametrize(
    ("direction", "key"),
    [("reference||generated", "kld_pq_per_item"), ("generated||reference", "kld_qp_per_item")],
)
def test_audiocraft_values(direction, key):
    values = kl_divergence(REFERENCE, GENERATED, direction=direction, epsilon=1e-6)
    np.testing.assert_allclose(values, GOLDEN[key], rtol=1e-5, atol=1e-6)


def test_both_directions_and_the_sigmoid_sum():
    both = kl_divergence(REFERENCE, GENERATED, direction="both", epsilon=1e-6).mean()
    assert float(both) == pytest.approx(float(GOLDEN["kld_both"]), rel=1e-5)
    sigmoid = kl_divergence(REFERENCE, GENERATED, activation="sigmoid", epsilon=1e-6).mean()
    assert float(sigmoid) == pytest.approx(float(GOLDEN["audioldm_sigmoid"]), rel=1e-5)


def test_without_epsilon_it_is_exact():
    values = kl_divergence(REFERENCE, GENERATED)
    p, q = (scipy.special.softmax(x.double().numpy(), axis=1) for x in (REFERENCE, GENERATED))
    np.testing.assert_allclose(values, scipy.special.rel_entr(p, q).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(values, GOLDEN["exact_no_eps_pq"], rtol=1e-6)  # of float32 logs
    assert (values >= 0).all()


def test_identical_sounds_score_slightly_below_zero_with_epsilon():
    value = float(kl_divergence(REFERENCE, GENERATED, epsilon=1e-6)[1])
    assert value == pytest.approx(-4.341e-4, rel=1e-3)


def test_direction_on_three_classes_by_hand():
    p, q = [0.5, 0.25, 0.25], [0.8, 0.1, 0.1]
    forward = 0.5 * math.log(0.5 / 0.8) + 2 * 0.25 * math.log(0.25 / 0.1)
    backward = 0.8 * math.log(0.8 / 0.5) + 2 * 0.1 * math.log(0.1 / 0.25)
    logits = torch.tensor([p]).double().log(), torch.tensor([q]).double().log()
    assert float(kl_divergence(*logits)) == pytest.approx(forward)
    assert float(kl_divergence(*logits, direction="generated||reference")) == pytest.approx(
        backward
    )
    assert forward != pytest.approx(backward, rel=0.05)


def test_epsilon_is_on_the_approximating_side_only():
    p, q = torch.tensor([[0.9, 0.1]]).double(), torch.tensor([[0.5, 0.5]]).double()
    expected = (p * (p.log() - (q + 0.1).log())).sum()
    assert float(kl_divergence(p.log(), q.log(), epsilon=0.1)) == pytest.approx(float(expected))


def test_extreme_logits_stay_finite():
    sure = torch.tensor([[300.0, 0.0]]), torch.tensor([[0.0, 300.0]])
    assert float(kl_divergence(*sure)) == pytest.approx(300.0)
    assert float(kl_divergence(*sure, epsilon=1e-6)) == pytest.approx(-math.log(1e-6))


def test_refuses_unknown_options_shapes_and_nan():
    logits = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="direction must be one of"):
        kl_divergence(logits, logits, direction="forward")
    with pytest.raises(ValueError, match="activation must be one of"):
        KLDivergence(activation="relu")
    for epsilon in (-1.0, math.nan, math.inf, "1e-6", True, None):
        with pytest.raises(ValueError, match="epsilon must be a finite number from zero, got"):
            kl_divergence(logits, logits, epsilon=epsilon)
        with pytest.raises(ValueError, match="epsilon must be a finite number from zero, got"):
            KLDivergence(epsilon=epsilon)
    with pytest.raises(ValueError, match=r"N >= 1 classes, got \[3, 0\] and \[3, 0\]"):
        kl_divergence(torch.zeros(3, 0), torch.zeros(3, 0))
    assert kl_divergence(torch.zeros(0, 5), torch.zeros(0, 5)).shape == (0,)
    with pytest.raises(ValueError, match=r"got \[2, 3\] and \[2, 4\]"):
        kl_divergence(logits, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="NaN or infinite"):
        kl_divergence(logits / 0, logits)


def test_metric_is_the_mean_over_items_and_merges():
    options = {"direction": "generated||reference", "epsilon": 1e-6}
    whole, half, other = (KLDivergence(**options) for _ in range(3))
    for start in range(8):
        whole.update(REFERENCE[start : start + 1], GENERATED[start : start + 1])
    half.update(REFERENCE[:3], GENERATED[:3])
    other.update(REFERENCE[3:], GENERATED[3:])
    half.merge_state(other)
    expected = kl_divergence(REFERENCE, GENERATED, **options).mean()
    torch.testing.assert_close(whole.compute(), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(half.compute(), expected, rtol=1e-12, atol=0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_metric_of_nothing_is_refused():
    with pytest.raises(ValueError, match="one or more pairs, got none"):
        KLDivergence().compute()
