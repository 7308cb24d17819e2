"""Losses of the two players: what the discriminator learns from, and what the codec learns from it.

Every loss is a mean over the discriminators of one resolution each, float32 []. Under autocast
logits arrive in sixteen bits; they are averaged in thirty-two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST_FEATURE = 1e-8  # mean magnitude below which a feature map is divided by no less


def hinge_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """Mean over the discriminators of -mean(logits): low where they take the sound for real."""
    return _mean([-logits.float().mean() for logits in fake_logits])


def hinge_discriminator_loss(
    real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]
) -> Tensor:
    """Mean over the discriminators of relu(1 - real) + relu(1 + fake); 2 is chance."""
    return _pairs(
        real_logits, fake_logits, lambda r, f: F.relu(1 - r).mean() + F.relu(1 + f).mean()
    )


def hinge2_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """Mean of relu(1 - logits): as `hinge_generator_loss`, content once they are sure."""
    return _mean([F.relu(1 - logits.float()).mean() for logits in fake_logits])


def mse_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """Mean of (logits - 1) ** 2. Source: least squares GAN (arXiv:1611.04076)."""
    return _mean([(logits.float() - 1).square().mean() for logits in fake_logits])


def mse_discriminator_loss(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Mean of (real - 1) ** 2 + fake ** 2; 0.5 is chance."""
    return _pairs(
        real_logits, fake_logits, lambda r, f: (r - 1).square().mean() + f.square().mean()
    )


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """One game: its loss for each player."""

    generator: Callable[[Sequence[Tensor]], Tensor]  # of the logits of generated sounds
    discriminator: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]  # real, then generated


ADVERSARIAL_LOSSES = {
    "hinge": AdversarialLoss(hinge_generator_loss, hinge_discriminator_loss),
    "hinge2": AdversarialLoss(hinge2_generator_loss, hinge_discriminator_loss),
    "mse": AdversarialLoss(mse_generator_loss, mse_discriminator_loss),
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Return the game called "hinge", "hinge2" or "mse"."""
    if name not in ADVERSARIAL_LOSSES:
        known = ", ".join(repr(each) for each in ADVERSARIAL_LOSSES)
        raise ValueError(f"adversarial loss must be one of {known}, got {name!r}")
    return ADVERSARIAL_LOSSES[name]


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]],
    real_features: Sequence[Sequence[Tensor]],
    *,
    normalize: bool = False,
) -> Tensor:
    """L1 between feature maps: mean over the maps of a discriminator, then over discriminators.

    ``normalize`` divides each distance by the mean magnitude of the real map, as the EnCodec paper
    writes it (arXiv:2210.13438, equation 2); the reference does not.
    """
    losses = []
    for fake, real in zip(fake_features, real_features, strict=True):
        pairs = zip(fake, real, strict=True)
        losses.append(_mean([_distance(f.float(), r.float(), normalize) for f, r in pairs]))
    return _mean(losses)


def _distance(fake: Tensor, real: Tensor, normalize: bool) -> Tensor:
    distance = F.l1_loss(fake, real)
    if normalize:
        distance = distance / real.detach().abs().mean().clamp(min=SMALLEST_FEATURE)
    return distance


def _pairs(
    real_logits: Sequence[Tensor],
    fake_logits: Sequence[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    pairs = zip(real_logits, fake_logits, strict=True)
    return _mean([loss(real.float(), fake.float()) for real, fake in pairs])


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
