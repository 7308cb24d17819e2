"""The adversarial half of codec training: a discriminator, its optimizer, and when it plays."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.codec.losses import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from audiogen.training.recording import average_gradients


class Adversarial(nn.Module):
    """Trains the discriminator and gives the generator its two losses.

    Args:
        discriminator: waveform [B, C, T] -> logits and feature maps, a list over scales each.
        optimizer: makes the discriminator's optimizer from its parameters.
        start: update of the generator from which on the discriminator plays.
        every: the discriminator learns at every so many updates of the generator.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        start: int = 0,
        every: int = 1,
    ) -> None:
        super().__init__()
        if start < 0 or every < 1:
            raise ValueError(
                f"start must be at least 0 and every at least 1, got start {start}, every {every}"
            )
        self.discriminator = discriminator
        self.make_optimizer = optimizer
        self.start = start
        self.every = every

    def plays(self, update: int) -> bool:
        """Whether the generator sees adversarial losses at this update (0 is the first)."""
        return update >= self.start

    def learns(self, update: int) -> bool:
        """Whether the discriminator learns at this update."""
        return self.plays(update) and (update - self.start) % self.every == 0

    def train_discriminator(self, real: Tensor, fake: Tensor, optimizer: Optimizer) -> Tensor:
        """Take one step on float [B, C, T] waveforms; return the hinge loss, float []."""
        optimizer.zero_grad()
        real_logits, _ = self.discriminator(real)
        fake_logits, _ = self.discriminator(fake.detach())
        loss = hinge_discriminator_loss(real_logits, fake_logits)
        loss.backward()
        average_gradients(self.discriminator.parameters())
        optimizer.step()
        return loss.detach()

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return ``adversarial`` and ``feature``, float []; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        try:
            with torch.no_grad():
                _, real_features = self.discriminator(real)
            fake_logits, fake_features = self.discriminator(fake)
        finally:
            self.discriminator.requires_grad_(True)
        return {
            "adversarial": hinge_generator_loss(fake_logits),
            "feature": feature_matching_loss(fake_features, real_features),
        }
