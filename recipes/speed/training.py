"""One update of the real training, `CodecModule` in Lightning, beside one of the plain baseline."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audiogen.codec.balancer import Balancer
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator
from audiogen.codec.losses import MultiScaleMelLoss
from audiogen.codec.model import Codec
from audiogen.training.adversarial import Adversarial
from audiogen.training.codec_module import CodecModule
from recipes.speed.baseline import PlainCodec, PlainTraining, plain_discriminator
from recipes.speed.timing import Times
from recipes.speed.turns import Turns, fit_quietly

WEIGHTS = {"l1": 0.1, "mel": 2.0, "adversarial": 4.0, "feature": 4.0}
PRECISIONS = {"exact": "32-true", "bf16": "bf16-mixed"}


def losses() -> dict[str, nn.Module]:
    """Build the reconstruction losses of the published training."""
    return {"l1": nn.L1Loss(), "mel": MultiScaleMelLoss(sample_rate=16000)}


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build what conf/optim/adam_gan.yaml does, by the kernel that `+optim.fused=true` chooses."""
    return torch.optim.Adam(parameters, lr=3e-4, betas=(0.5, 0.9), fused=True)


def make_discriminator(*, smoke: bool) -> MultiScaleSTFTDiscriminator:
    """Build the published discriminator, or a narrow one."""
    return MultiScaleSTFTDiscriminator(num_filters=2 if smoke else 32)


def make_baseline(codec: Codec, discriminator: MultiScaleSTFTDiscriminator) -> PlainTraining:
    """Rewrite the training of both."""
    plain = PlainCodec(codec), plain_discriminator(discriminator)
    return PlainTraining(*plain, losses=losses(), weights=WEIGHTS)


def fit(
    codec: Codec,
    discriminator: MultiScaleSTFTDiscriminator,
    batch: Tensor,
    *,
    updates: int,
    precision: str,
    callbacks: list[Callback],
) -> CodecModule:
    """Train our codec on one batch again and again."""
    module = CodecModule(
        codec,
        optimizer=adam,
        losses=losses(),
        balancer=Balancer(WEIGHTS),
        adversarial=Adversarial(discriminator=discriminator, optimizer=adam),
    )
    data = DataLoader([{"waveform": batch}] * updates, batch_size=None)
    fit_quietly(module, data, updates=updates, precision=precision, callbacks=callbacks)
    return module


def measure_training(
    make_codec: Callable[[], Codec], *, rounds: int, seconds: float, smoke: bool
) -> dict[str, dict[str, float]]:
    """Time updates of two clips in float32 and in bfloat16, each beside the baseline."""
    results: dict[str, dict[str, float]] = {}
    for name, precision in PRECISIONS.items():
        torch.manual_seed(0)
        codec, judge = make_codec(), make_discriminator(smoke=smoke)
        batch = torch.randn(2, 1, round(seconds * codec.sample_rate)) / 10
        baseline = make_baseline(codec, judge)
        turns = Turns(lambda baseline=baseline, batch=batch: baseline.step(batch))
        error: dict[str, float] = {}

        def compare(
            module: CodecModule, baseline: PlainTraining = baseline, error: Any = error
        ) -> None:
            error["gradient_error"] = gradient_error(module.codec, baseline.codec)

        turns.after_first = compare
        fit(codec, judge, batch, updates=rounds + 1, precision=precision, callbacks=[turns])
        ours, theirs = Times(seconds=turns.ours), Times(seconds=turns.theirs)
        results[name] = {
            "least_s": ours.least,
            "median_s": ours.median,
            "baseline_least_s": theirs.least,
            **ours.over(theirs),
            **error,
        }
    return results


def gradient_error(ours: Codec, plain: PlainCodec) -> float:
    """Norm of the difference of all gradients over the norm of the baseline's."""
    expected = {rename(name): p.grad for name, p in plain.named_parameters()}
    got: Mapping[str, Tensor | None] = {name: p.grad for name, p in ours.named_parameters()}
    pairs = [(got[name], grad) for name, grad in expected.items() if grad is not None]
    wrong = sum((a - b).square().sum().item() for a, b in pairs if a is not None)
    size = sum(b.square().sum().item() for _, b in pairs)
    return math.sqrt(wrong / size)


def rename(name: str) -> str:
    """Name a parameter of the baseline as our codec names it."""
    half, rest = name.split(".", 1)
    rest = rest.replace("weight_g", "parametrizations.weight.original0")
    return f"{half}.layers.{rest.replace('weight_v', 'parametrizations.weight.original1')}"
