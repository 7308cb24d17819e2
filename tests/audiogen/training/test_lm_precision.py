"""Language models in sixteen bits: what stays in float32, and the scale that float16 needs."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from audiogen.lm.model import TokenLM
from audiogen.text.hashed import HashedEncoder
from audiogen.training.checkpoints import AtomicCheckpointIO, Checkpointer, newest_checkpoint
from audiogen.training.lm_module import LMModule
from audiogen.training.precision import check_lm_precision

from .conftest import LM, Starter
from .test_lm_batches import rows_of
from .test_lm_module import SIZES, fit, make_data

ADAMW = partial(torch.optim.AdamW, lr=1e-3, fused=True)


def make(**changes):
    torch.manual_seed(0)
    lm = TokenLM(**SIZES, text_dim=8, dim=32, num_layers=2, num_heads=2, delays=[0, 1])
    text = HashedEncoder(dim=8, num_buckets=32, max_words=6)
    keywords = {"optimizer": ADAMW, "condition_dropout": 0.2, "seed": 1}
    return LMModule(lm, text=text, **keywords | changes)


def half(scale=2.0**16):
    """Float16 with its scaler on a CPU, which Lightning itself leaves to GPUs."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return MixedPrecision("16-mixed", "cpu", scaler)


def test_losses_follow_those_of_float32(tmp_path):
    """Within 1 % in each of ten updates; eight bits of mantissa are 0.4 %, eleven 0.05 %."""
    rows = {
        "float32": rows_of(fit(make(), tmp_path / "a", steps=10)),
        "bfloat16": rows_of(fit(make(), tmp_path / "b", steps=10, precision="bf16-mixed")),
        "float16": rows_of(fit(make(), tmp_path / "c", steps=10, plugins=[half()])),
    }
    for kind, limit in (("bfloat16", 1e-2), ("float16", 2e-3)):
        pairs = [
            (float(exact["train/loss"]), float(row["train/loss"]))
            for exact, row in zip(rows["float32"], rows[kind], strict=True)
        ]
        assert all(found == pytest.approx(exact, rel=limit) for exact, found in pairs)
        assert any(found != exact for exact, found in pairs)  # sixteen bits were in play at all


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_only_products_leave_float32(tmp_path, kind):
    module, seen = make(), {}
    for name, part in module.lm.named_modules():
        if isinstance(part, nn.LayerNorm | nn.Linear) and part is not module.lm.head:
            part.register_forward_hook(
                lambda part, _, out: seen.setdefault(type(part).__name__, set()).add(out.dtype)
            )
        assert name is not None
    original = module._losses

    def watched(*arguments):
        loss, losses = original(*arguments)
        seen["loss"] = {loss.dtype, losses.dtype}
        return loss, losses

    module._losses = watched
    how = {"plugins": [half()]} if kind == "float16" else {"precision": "bf16-mixed"}
    trainer = fit(module, tmp_path, steps=1, **how)
    assert seen["Linear"] == {getattr(torch, kind)}
    assert seen["LayerNorm"] == seen["loss"] == {torch.float32}
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    moments = trainer.optimizers[0].state.values()
    assert {value.dtype for state in moments for value in state.values()} == {torch.float32}


def test_an_update_that_overflows_is_left_out_and_the_scale_falls(tmp_path):
    """2 ** 40 overflows in the backward pass; the count of updates goes on, as published."""
    module = make(schedule=lambda step: 1.0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    plugin = half(scale=2.0**40)
    rows = rows_of(fit(module, tmp_path, steps=1, plugins=[plugin]))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert rows[0]["train/skipped"] == "1.0"
    assert float(rows[0]["train/gradient_scale"]) == 2.0**40
    assert "train/gradient_norm" not in rows[0]  # it has none
    assert plugin.scaler.get_scale() == 2.0**39
    assert module.updates == 1


@pytest.mark.parametrize("fused", [True, False])
def test_gradients_are_clipped_and_recorded_without_their_scale(tmp_path, fused):
    optimizer = partial(torch.optim.AdamW, lr=1e-3, fused=fused)
    norms = []
    for name, how in {"exact": {}, "half": {"plugins": [half(2.0**10)]}}.items():
        row = rows_of(fit(make(optimizer=optimizer), tmp_path / name, steps=1, **how))[0]
        norms.append(float(row["train/gradient_norm"]))
    assert norms[1] == pytest.approx(norms[0], rel=1e-2)


def test_the_scale_goes_on_where_it_was(tmp_path):
    """In six updates the scale doubles twice; a run that goes on at the fourth ends the same."""
    whole = fit(make(), tmp_path / "whole", steps=6, plugins=[half(2.0**8)])
    saving = Checkpointer(tmp_path / "checkpoints", every=4)
    plugins = [half(2.0**8), AtomicCheckpointIO()]
    fit(make(), tmp_path / "part", steps=4, plugins=plugins, callbacks=[saving])
    module, plugin = make(), half(2.0**3)
    path = newest_checkpoint(tmp_path / "checkpoints")
    again = fit(module, tmp_path / "part", steps=6, plugins=[plugin], path=path)
    rows = [rows_of(trainer) for trainer in (whole, again)]
    keys = [key for key in rows[0][-1] if key.startswith("train/")]
    assert [[row[key] for key in keys] for row in rows[0]] == [
        [row[key] for key in keys] for row in rows[1]
    ]
    assert plugin.scaler.get_scale() == 2.0**10
    for name, value in whole.lightning_module.state_dict().items():
        assert torch.equal(module.state_dict()[name], value)


@pytest.mark.parametrize("precision", ["16-true", "bf16-true", "64-true", "64", "eight"])
def test_other_precisions_are_refused(precision):
    with pytest.raises(ValueError, match="32-true, bf16-mixed or 16-mixed, got"):
        check_lm_precision(precision, precision)


def test_precisions_that_are_applied_as_configured():
    for precision in ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16"):
        check_lm_precision(precision, precision)


def test_float16_is_not_silently_bfloat16_on_a_cpu(scripts: Starter, tmp_path):
    words = [*LM, "trainer.precision=16-mixed", f"paths.runs={tmp_path}"]
    assert scripts.run("train_lm.py", *words) == 2
    last = scripts.log.read_text().splitlines()[-1]
    assert last.startswith("error: trainer.precision=16-mixed needs a GPU, here it would silently")
    assert not list(tmp_path.rglob("*.ckpt"))


def spoilt(step, value):
    """Data whose codes are well, for a model whose loss is ``value`` from an update on."""
    module = make(optimizer=partial(torch.optim.AdamW, lr=1e-3))
    original = module._losses

    def losses(*arguments):
        loss, each = original(*arguments)
        return (loss * value if module.training and module.updates >= step else loss), each

    module._losses = losses
    return module


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_reaches_weights(tmp_path, value):
    module = spoilt(2, value)
    saving = Checkpointer(tmp_path / "checkpoints", every=1)
    saved = {"callbacks": [saving], "plugins": [AtomicCheckpointIO()]}
    with pytest.raises(FloatingPointError, match=r"not finite in update 3 \(norm nan\).*lower the"):
        fit(module, tmp_path, steps=6, data=make_data(), **saved)
    assert module.updates == 2
    assert all(value.isfinite().all() for value in module.state_dict().values())
    last = newest_checkpoint(tmp_path / "checkpoints")
    assert last.name == "step-000000002.ckpt"
    again = make()
    fit(again, tmp_path, steps=4, path=last)
    assert again.updates == 4


def test_under_float16_a_loss_that_is_not_finite_is_named_at_the_next_row(tmp_path):
    """No scale helps there; updates are left out until the row says so."""
    module = spoilt(2, math.nan)
    original = module._read

    def read(*arguments, **keywords):
        loss, losses, positions = original(*arguments, **keywords)
        return loss, losses * loss.detach(), positions  # what is recorded is not finite either

    module._read = read
    with pytest.raises(FloatingPointError, match="after update 3"):
        fit(module, tmp_path, steps=6, plugins=[half()])
    assert all(value.isfinite().all() for value in module.state_dict().values())
