"""Training in bfloat16: what stays in float32, and how near it stays to training in float32."""

from functools import partial

import pytest
import torch

from audiogen.codec.balancer import Balancer
from audiogen.codec.losses import MultiScaleMelLoss
from audiogen.training.precision import check_precision

from .test_codec_module import WEIGHTS, fit, make_adversarial, make_codec, make_data, make_module

ADAM = partial(torch.optim.Adam, lr=3e-4, betas=(0.5, 0.9))


def make(**changes):
    torch.manual_seed(0)
    return make_module(
        codec=make_codec(lstm_layers=1, num_filters=4, dimension=8),
        adversarial=make_adversarial(),
        optimizer=ADAM,
        balancer=Balancer(WEIGHTS),
        **changes,
    )


def test_losses_follow_those_of_float32(tmp_path):
    """Within 1 % in each of 20 updates: eight bits of mantissa are 0.4 %."""
    rows = {}
    for precision in ("32-true", "bf16-mixed"):
        trainer = fit(
            make(), tmp_path / precision, steps=20, data=make_data(4), precision=precision
        )
        rows[precision] = trainer.loggers[0]._rows
    losses = ["loss", "l1", "commitment", "discriminator", "adversarial", "feature"]
    differences = []
    for row, half in zip(*rows.values(), strict=True):
        for name in losses:
            expected, found = float(row[f"train/{name}"]), float(half[f"train/{name}"])
            assert found == pytest.approx(expected, rel=0.01, abs=1e-3), (row["step"], name)
            differences.append(found != expected)
    assert any(differences)  # sixteen bits were in play at all


def test_only_convolutions_and_lstms_leave_float32(tmp_path):
    """Seen from inside: what quantizer, losses and balancer get, and what the codec computes in."""
    seen = {}

    class Watching(Balancer):
        def combine(self, losses, gradients, *, item_weights=None):
            seen["losses"] = {value.dtype for value in losses.values()}
            seen["gradients"] = {value.dtype for value in gradients.values()}
            total, effective = super().combine(losses, gradients, item_weights=item_weights)
            seen["balanced"] = {total.dtype, effective.dtype}
            return total, effective

    mel = MultiScaleMelLoss(sample_rate=1000, n_ffts=[32], num_mels=4, f_min=0)

    def watch(name, of):
        def hook(module, inputs, output):
            seen[name] = of(inputs, output)

        return hook

    module = make()
    module.balancer = Watching({**WEIGHTS, "mel": 1.0})
    module.losses["mel"] = mel
    codec, discriminator = module.codec, module.adversarial.discriminator
    codec.encoder.register_forward_hook(watch("encoder", lambda i, o: o.dtype))
    codec.decoder.register_forward_hook(watch("decoder", lambda i, o: o.dtype))
    codec.quantizer.register_forward_hook(watch("quantizer", lambda i, o: o.latents.dtype))
    mel.spectrograms[0].register_forward_hook(watch("mel", lambda i, o: (i[0].dtype, o.dtype)))
    discriminator.register_forward_hook(watch("logits", lambda i, o: o[0][0].dtype))
    first = discriminator.discriminators[0].convs[0]
    first.register_forward_hook(watch("spectrogram", lambda i, o: i[0].dtype))
    trainer = fit(module, tmp_path, steps=2, data=make_data(4), precision="bf16-mixed")

    full, half = torch.float32, torch.bfloat16
    assert seen["encoder"] == seen["decoder"] == seen["logits"] == half
    assert seen["quantizer"] == full
    assert seen["mel"] == (full, full)
    assert seen["spectrogram"] == full
    assert seen["losses"] == seen["gradients"] == seen["balanced"] == {full}
    assert {p.dtype for p in module.parameters()} == {full}
    states = trainer.optimizers[0].state.values()
    assert {state[name].dtype for state in states for name in ("exp_avg", "exp_avg_sq")} == {full}


@pytest.mark.parametrize("word", ["32-true", "32", "None", "bf16-mixed", "bf16"])
def test_every_word_for_a_mode_that_works(word):
    check_precision(word)


@pytest.mark.parametrize(
    "word", ["16-mixed", "16", "16-true", "bf16-true", "64", "transformer-engine"]
)
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match=f"=32-true or bf16-mixed, got {word}$"):
        check_precision(word)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_other_precisions_are_refused(tmp_path, precision):
    with pytest.raises(ValueError, match=r"trainer\.precision=32-true or bf16-mixed, got"):
        fit(make(), tmp_path, precision=precision)
