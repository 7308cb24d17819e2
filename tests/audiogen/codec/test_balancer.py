import io
import math

import pytest
import torch
from torch import Tensor

from audiogen.codec.balancer import Balancer

WEIGHTS = {"l1": 0.1, "msspec": 2.0, "adv": 4.0, "feat": 4.0}


def losses_of(y: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {
        "l1": (y - target).abs().mean(),
        "msspec": 3 * (y - target).square().mean(),
        "adv": -y.sin().mean(),
        "feat": (y**3 - target).abs().mean(),
    }


def run(balancer: Balancer, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Effective losses [U] and the gradients that reached the output."""
    effective, gradients = [], []
    for value in inputs:
        y = value.clone().requires_grad_()
        effective.append(balancer.backward(losses_of(y, target), y))
        gradients.append(y.grad)
    return torch.stack(effective), torch.stack(gradients)


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("default", {}),
        ("batchnorm", {"per_item": False, "decay": 0.9, "total_norm": 2.0}),
        ("nobalance", {"balance": False}),
        ("monitor", {"decay": 0.5}),
    ],
)
def test_matches_golden(golden, case, settings):
    expected, _ = golden("balancer")
    effective, gradients = run(
        Balancer(WEIGHTS, **settings), expected["inputs"], expected["target"]
    )
    torch.testing.assert_close(effective, expected[f"{case}_effective_loss"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients, expected[f"{case}_input_grads"], rtol=1e-5, atol=1e-7)


def test_the_reference_used_these_settings(golden_text):
    """The settings above, as the reference wrote them down."""
    assert golden_text("balancer", "weights_json") == WEIGHTS
    assert golden_text("balancer", "default_kwargs_json") == {}
    assert golden_text("balancer", "nobalance_kwargs_json") == {"balance_grads": False}
    assert golden_text("balancer", "monitor_kwargs_json") == {"monitor": True, "ema_decay": 0.5}
    assert golden_text("balancer", "batchnorm_kwargs_json") == {
        "per_batch_item": False,
        "ema_decay": 0.9,
        "total_norm": 2.0,
    }


def test_losses_and_shares_of_the_norms_match_golden(golden):
    """What the reference monitors: each loss's average norm as a share of their sum."""
    expected, _ = golden("balancer")
    balancer = Balancer(WEIGHTS, decay=0.5)
    for step, value in enumerate(expected["inputs"]):
        y = value.clone().requires_grad_()
        losses = losses_of(y, expected["target"])
        ours = torch.stack([losses[name].detach() for name in WEIGHTS])
        torch.testing.assert_close(ours, expected["loss_values"][step], rtol=1e-5, atol=1e-6)
        balancer.backward(losses, y)
        norms = torch.tensor([balancer.average_norms()[name] for name in WEIGHTS])
        shares = (norms / norms.sum()).double()
        torch.testing.assert_close(shares, expected["monitor_ratios"][step], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-3, 10.0])
@pytest.mark.parametrize("per_item", [True, False])
@pytest.mark.parametrize("balance", [True, False])
def test_odd_settings(epsilon, per_item, balance):
    """Against the formula in float64, with a loss that is absent at every second step."""
    rng = torch.Generator().manual_seed(7)
    weights, decay, total_norm = {"a": 0.3, "b": 5.0, "c": 0.0}, 0.8, 3.0
    balancer = Balancer(
        weights,
        balance=balance,
        per_item=per_item,
        decay=decay,
        total_norm=total_norm,
        epsilon=epsilon,
    )
    sums, counts = dict.fromkeys(weights, 0.0), dict.fromkeys(weights, 0.0)
    for step in range(5):
        y = torch.randn(3, 2, 7, generator=rng)
        factors = {name: torch.randn(3, 2, 7, generator=rng) for name in weights}
        if step % 2:
            del factors["a"]
        expected = torch.zeros(3, 2, 7, dtype=torch.float64)
        effective = 0.0
        for name, factor in factors.items():
            gradient = factor.double()
            norms = gradient.flatten(1).square().sum(dim=1).sqrt()
            norm = norms.mean() if per_item else gradient.square().sum().sqrt()
            sums[name] = decay * sums[name] + norm.item()
            counts[name] = decay * counts[name] + 1
            share = weights[name] / sum(weights[each] for each in factors)
            scale = share * total_norm / (epsilon + sums[name] / counts[name])
            scale = scale if balance else weights[name]
            expected += scale * gradient
            effective += scale * (gradient * y.double()).sum().item()
        y.requires_grad_()
        losses = {name: (factor * y).sum() for name, factor in factors.items()}
        value = balancer.backward(losses, y)
        torch.testing.assert_close(y.grad.double(), expected, rtol=1e-5, atol=1e-6)
        assert value.item() == pytest.approx(effective, rel=1e-4, abs=1e-5)


def test_ratios_follow_the_weights_not_the_losses():
    """L1 and 100 * L1 pull with the shares of their weights: here the same direction, norm one."""
    y = torch.randn(4, 1, 50, requires_grad=True)
    l1 = y.abs().mean()
    Balancer({"a": 3.0, "b": 1.0}).backward({"a": l1, "b": 100 * l1}, y)
    torch.testing.assert_close(y.grad.flatten(1).norm(dim=1), torch.ones(4))

    y = torch.randn(4, 1, 50, requires_grad=True)
    left, right = y[..., :25].abs().sum(), 100 * y[..., 25:].abs().sum()
    Balancer({"a": 3.0, "b": 1.0}).backward({"a": left, "b": right}, y)
    norms = [half.flatten(1).norm(dim=1) for half in (y.grad[..., :25], y.grad[..., 25:])]
    torch.testing.assert_close(norms[0], torch.full((4,), 0.75))
    torch.testing.assert_close(norms[1], torch.full((4,), 0.25))


def test_a_missing_loss_leaves_its_share_to_the_others():
    y = torch.randn(2, 1, 30, requires_grad=True)
    Balancer({"a": 1.0, "b": 9.0}).backward({"a": y.square().sum()}, y)
    torch.testing.assert_close(y.grad.flatten(1).norm(dim=1).mean(), torch.tensor(1.0))


def test_gradient_reaches_what_is_below_the_output():
    weight = torch.ones(5, requires_grad=True)
    y = torch.arange(1.0, 6.0)[None] * weight
    Balancer({"a": 1.0}).backward({"a": y.sum()}, y)
    expected = torch.arange(1.0, 6.0) / math.sqrt(5)
    torch.testing.assert_close(weight.grad, expected)


def test_average_is_free_of_bias_from_the_first_call():
    balancer = Balancer({"a": 1.0}, decay=0.5)
    assert math.isnan(balancer.average_norms()["a"])
    for scale, expected in [(1.0, 1.0), (4.0, (0.5 * 1 + 4) / 1.5)]:
        y = torch.tensor([[1.0]], requires_grad=True)
        balancer.backward({"a": scale * y.sum()}, y)
        assert balancer.average_norms()["a"] == pytest.approx(expected)


def test_a_saved_state_continues_exactly(golden):
    expected, _ = golden("balancer")
    inputs, target = expected["inputs"], expected["target"]
    whole = Balancer(WEIGHTS, decay=0.5)
    run(whole, inputs[:2], target)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = Balancer(WEIGHTS, decay=0.5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for ours, theirs in zip(
        run(whole, inputs[2:], target), run(resumed, inputs[2:], target), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    fresh = Balancer(WEIGHTS, decay=0.5)
    assert not torch.equal(run(fresh, inputs[3:], target)[1], run(whole, inputs[3:], target)[1])


def test_another_set_of_losses_does_not_load():
    with pytest.raises(RuntimeError, match="norm_b"):
        Balancer({"a": 1.0}).load_state_dict(Balancer({"b": 1.0}).state_dict())


def loud_and_quiet() -> Tensor:
    return (torch.randn(2, 1, 40) * torch.tensor([1.0, 0.01])[:, None, None]).requires_grad_()


def test_items_drown_each_other_unless_equalized():
    """A squared loss pulls an item in proportion to its level."""
    y = loud_and_quiet()
    Balancer({"a": 1.0}).backward({"a": y.square().sum()}, y)
    loud, quiet = y.grad.flatten(1).norm(dim=1)
    assert loud > 50 * quiet
    y = loud_and_quiet()
    Balancer({"a": 1.0}, equalize_items=True).backward({"a": y.square().sum()}, y)
    torch.testing.assert_close(y.grad.flatten(1).norm(dim=1), torch.ones(2))


def test_item_weights_are_relative():
    y = loud_and_quiet()
    balancer = Balancer({"a": 1.0, "b": 1.0}, equalize_items=True, total_norm=2.0)
    losses = {"a": y.square().sum(), "b": 7 * y.square().sum()}
    balancer.backward(losses, y, item_weights=torch.tensor([30.0, 10.0]))
    torch.testing.assert_close(y.grad.flatten(1).norm(dim=1), torch.tensor([3.0, 1.0]))


def test_an_item_without_gradient_stays_without():
    y = torch.tensor([[0.0], [2.0]], requires_grad=True)
    Balancer({"a": 1.0}, equalize_items=True).backward({"a": y.square().sum()}, y)
    assert y.grad.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Balancer({}), "not all zero"),
        (lambda: Balancer({"a": -1.0}), "non-negative"),
        (lambda: Balancer({"a": math.nan}), "non-negative"),
        (lambda: Balancer({"a": 1.0}, decay=1.0), r"decay must be in \[0, 1\)"),
        (lambda: Balancer({"a": 1.0}, total_norm=0.0), "total_norm above 0"),
        (lambda: Balancer({"a": 1.0}, epsilon=math.nan), "epsilon of 0 or more"),
        (lambda: Balancer({"a": 1.0}, balance=False, equalize_items=True), "needs balance=True"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_gradient_that_is_not_finite_is_an_error_before_anything_moves(value):
    """1e30 is finite, but its norm is not: dividing by that would silently drop the loss."""
    balancer = Balancer({"good": 1.0, "bad": 1.0})
    weight = torch.ones(3, 4, requires_grad=True)
    y = weight * 2
    factor = torch.ones(3, 4)
    factor[2, 1] = value
    with pytest.raises(FloatingPointError, match=r"'bad' in item\(s\) \[2\].*Nothing was updated"):
        balancer.backward({"good": y.sum(), "bad": (y * factor).sum()}, y)
    assert weight.grad is None
    assert all(buffer.tolist() == [0, 0] for buffer in balancer.buffers())


def test_a_loss_that_is_not_finite_is_an_error_even_without_a_gradient():
    """L1 has a gradient of 0 where its input is NaN."""
    balancer = Balancer({"l1": 1.0, "other": 1.0})
    y = torch.tensor([[1.0, math.nan]], requires_grad=True)
    with pytest.raises(FloatingPointError, match=r"'l1' of value nan.*Nothing was updated"):
        balancer.backward({"l1": (y - 2).abs().mean(), "other": y[:, 0].sum()}, y)
    assert y.grad is None
    assert balancer.norm_l1.tolist() == [0, 0]


def test_an_output_in_sixteen_bits_is_measured_in_thirty_two():
    """Twenty thousand squares, summed in bfloat16, would stop growing long before the end."""
    y = torch.zeros(1, 20000, dtype=torch.bfloat16, requires_grad=True)
    balancer = Balancer({"a": 1.0})
    balancer.backward({"a": (y.float() * 0.1).sum()}, y)
    expected = torch.tensor(0.1).bfloat16().item() * math.sqrt(20000)
    assert balancer.average_norms()["a"] == pytest.approx(expected, rel=1e-5)


def test_unknown_losses_are_refused():
    y = torch.ones(1, 1, requires_grad=True)
    balancer = Balancer({"a": 1.0})
    with pytest.raises(ValueError, match="give a new loss a weight"):
        balancer.backward({"b": y.sum()}, y)
    with pytest.raises(ValueError, match=r"got \[\]"):
        balancer.backward({}, y)
    with pytest.raises(ValueError, match="equalize_items=True"):
        balancer.backward({"a": y.sum()}, y, item_weights=torch.ones(1))
