"""The adversarial half of codec training: a discriminator, its optimizer, and when it plays."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.codec.adversarial import adversarial_loss, feature_matching_loss
from audiogen.training.gradients import clip_gradients, require_finite_norm
from audiogen.training.precision import floats, full_precision
from audiogen.training.ranks import average_gradients


class Adversarial(nn.Module):
    """Trains the discriminator and gives the generator its two losses.

    Under autocast the discriminator's convolutions run in sixteen bits; its spectrograms, the
    losses and the optimizer stay in float32.

    Args:
        discriminator: waveform [B, C, T] -> logits and feature maps, a list over scales each.
        optimizer: makes the discriminator's optimizer from its parameters.
        start: update of the generator from which on the discriminator plays.
        every: the discriminator learns at every so many updates of the generator; 1.5 is two of
            three. (The reference draws, with probability 1 / every.)
        loss: "hinge", "hinge2" or "mse".
        normalize_features: compare feature maps in units of their mean magnitude.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        start: int = 0,
        every: float = 1,
        loss: str = "hinge",
        normalize_features: bool = False,
    ) -> None:
        super().__init__()
        if start < 0 or not every >= 1:
            raise ValueError(
                f"start must be at least 0 and every at least 1, got start {start}, every {every}"
            )
        self.discriminator = discriminator
        self.make_optimizer = optimizer
        self.start = start
        self.every = every
        self.game = adversarial_loss(loss)
        self.normalize_features = normalize_features

    def plays(self, update: int) -> bool:
        """Whether the generator sees adversarial losses at this update (0 is the first)."""
        return update >= self.start

    def learns(self, update: int) -> bool:
        """Whether the discriminator learns at this update."""
        played = update - self.start
        turns = math.ceil(played / self.every), math.ceil((played + 1) / self.every)
        return self.plays(update) and turns[1] > turns[0]

    def train_discriminator(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], optimizer: Optimizer
    ) -> Tensor:
        """Take one step on the parts of a batch, each [b, C, T]; return the loss, float []."""
        optimizer.zero_grad()
        losses = []
        for pair in zip(real, fake, strict=True):
            loss = self._discriminator_loss(*pair) / len(real)
            loss.backward()
            losses.append(loss.detach())
        parameters = list(self.discriminator.parameters())
        average_gradients(parameters)
        require_finite_norm(clip_gradients(parameters, None), whose="the discriminator")
        optimizer.step()
        return torch.stack(losses).sum()

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return ``adversarial`` and ``feature``, float []; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        try:
            with torch.no_grad():
                _, real_features = self.discriminator(real)
            fake_logits, fake_features = self.discriminator(fake)
        finally:
            self.discriminator.requires_grad_(True)
        with full_precision(real):
            return {
                "adversarial": self.game.generator(floats(fake_logits)),
                "feature": feature_matching_loss(
                    [floats(maps) for maps in fake_features],
                    [floats(maps) for maps in real_features],
                    normalize=self.normalize_features,
                ),
            }

    def losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return all three losses, float [], to look at: nobody learns from them."""
        with torch.no_grad():
            values = {"discriminator": self._discriminator_loss(real, fake)}
            return values | self.generator_losses(real, fake)

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        real_logits, _ = self.discriminator(real)
        fake_logits, _ = self.discriminator(fake.detach())
        with full_precision(real):
            return self.game.discriminator(floats(real_logits), floats(fake_logits))
