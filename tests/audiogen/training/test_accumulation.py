"""An update is that of its batch, however the batch is cut."""

from functools import partial

import pytest
import torch
from torch import nn

from audiogen.codec.balancer import Balancer
from audiogen.training.accumulation import balance, split_batch
from audiogen.training.callbacks import WeightAverage

from .test_codec_module import WEIGHTS, fit, make_adversarial, make_codec, make_data, make_module

ADAM = partial(torch.optim.Adam, lr=3e-4, betas=(0.5, 0.9))
SLOW = partial(torch.optim.SGD, lr=1e-3)  # faster ones amplify rounding here
VARIANTS = {
    "plain": {},
    "published": {"adversarial": {}, "optimizer": ADAM, "balanced_items": 2},
    "two of three": {"adversarial": {"every": 1.5, "start": 1}},
    "codebook dropout": {"codec": {"codebook_dropout": True, "dead_code_threshold": 0.9}},
    "warm-up, items at equal level": {
        "warmup_steps": 2,
        "level_floor": 1e-3,
        "balancer": Balancer(WEIGHTS, equalize_items=True),
    },
    "stereo at unit level": {"codec": {"renormalize": True}},
}


def trained(folder, variant, *, accumulate, steps=5):
    """Train on batches of four; return every row of the history and the final state."""
    changes = dict(VARIANTS[variant])
    torch.manual_seed(0)
    codec = make_codec(**changes.pop("codec", {}))
    if "adversarial" in changes:
        changes["adversarial"] = make_adversarial(**changes["adversarial"])
    if "balancer" not in changes:
        changes["balancer"] = Balancer(WEIGHTS)
    changes.setdefault("optimizer", SLOW)
    module = make_module(codec=codec, accumulate=accumulate, **changes)
    module.balancer.load_state_dict({f"norm_{name}": torch.zeros(2) for name in WEIGHTS})
    trainer = fit(
        module, folder, steps=steps, data=make_data(4), callbacks=[WeightAverage(decay=0.5)]
    )
    assert trainer.global_step == module.updates == steps
    return trainer.loggers[0]._rows, effective(module)


def effective(module):
    """Return all weights and buffers, with the weights that weight norm makes, not their parts.

    The direction of a weight of one element has no gradient but rounding, which Adam makes large.
    """
    state = {n: v for n, v in module.state_dict().items() if "parametrizations" not in n}
    normed = {n: m.weight for n, m in module.named_modules() if hasattr(m, "parametrizations")}
    return state | {f"{name}.weight": value.detach() for name, value in normed.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_give_the_update_of_the_whole_batch(tmp_path, variant):
    """Losses, gradient norms and health of every update, and at the end all weights and buffers."""
    rows, state = trained(tmp_path / "1", variant, accumulate=1)
    for parts in (2, 4):
        again, other = trained(tmp_path / str(parts), variant, accumulate=parts)
        assert len(rows) == len(again) == 5
        for row, row_again in zip(rows, again, strict=True):
            assert row.keys() == row_again.keys()
            for name in row.keys() - {"speed/updates_per_second"}:
                expected = pytest.approx(float(row[name]), rel=1e-5, abs=1e-5)
                assert float(row_again[name]) == expected, (row["step"], name)
        for name, value in state.items():
            size = value.double().abs().max().item()
            torch.testing.assert_close(other[name], value, rtol=1e-5, atol=1e-5 * size, msg=name)
    assert "train/discriminator" in {name for row in rows for name in row} or (
        "adversarial" not in VARIANTS[variant]
    )


def test_the_balancer_sees_the_whole_batch():
    """Norms are averaged over all items before any gradient is scaled."""
    targets = torch.randn(6, 1, 30) * torch.tensor([1.0, 1, 10, 10, 100, 100])[:, None, None]
    outputs = torch.randn(6, 1, 30)

    def losses(output, target):
        return {"a": (output - target).square().mean(), "b": (output - target).abs().mean()}

    results = []
    for parts in (1, 3):
        balancer = Balancer({"a": 1.0, "b": 3.0})
        gradients, means, effective = balance(
            balancer, losses, outputs.chunk(parts), targets.chunk(parts), item_weights=None
        )
        results.append((torch.cat(list(gradients)), means, effective, balancer.state_dict()))
    torch.testing.assert_close(results[0], results[1])
    leaf = outputs.clone().requires_grad_()
    balancer = Balancer({"a": 1.0, "b": 3.0})
    balancer.backward(losses(leaf, targets), leaf)
    torch.testing.assert_close(results[0][0], leaf.grad)


def test_balanced_items_make_the_pull_independent_of_the_batch(tmp_path):
    """Twice the same items are a batch of twice the size: the gradient is the same, not double."""
    gradients = {}
    target = torch.randn(2, 1, 64)
    for batch in (target, torch.cat([target, target])):
        for items in (None, 2):
            codec = make_codec().train()
            module = make_module(codec=codec, balanced_items=items, commitment_weight=0.0)
            codec.quantizer.bypass = True
            output = module.codec(batch)
            pulls, _, _ = balance(
                module.balancer,
                lambda output, target: {"l1": nn.functional.l1_loss(output, target)},
                [output.waveform],
                [batch],
                item_weights=None,
            )
            scaled = pulls[0] * module._balanced_scale(len(batch))
            gradients[len(batch), items] = scaled.flatten(1).norm(dim=1).sum().item()
    assert gradients[4, None] == pytest.approx(2 * gradients[2, None], rel=1e-5)
    assert gradients[4, 2] == pytest.approx(gradients[2, 2], rel=1e-5)
    assert gradients[2, 2] == pytest.approx(gradients[2, None], rel=1e-5)


def test_a_batch_that_cannot_be_cut_is_refused():
    assert [len(part) for part in split_batch(torch.zeros(6, 1, 5), 3)] == [2, 2, 2]
    with pytest.raises(ValueError, match="a batch of 4 cannot be cut into 3 equal parts"):
        split_batch(torch.zeros(4, 1, 5), 3)
    with pytest.raises(ValueError, match="at least 1, got 0 and None"):
        make_module(accumulate=0)
    with pytest.raises(ValueError, match="needs a balancer with balance=True"):
        make_module(balanced_items=8, balancer=Balancer(WEIGHTS, balance=False))
