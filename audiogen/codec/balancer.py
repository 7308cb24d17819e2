"""Gradient balancing: weights that mean shares of the gradient, whatever the scale of a loss.

Source: EnCodec (arXiv:2210.13438), section 3.4, "Balancer".
"""

import math
from collections.abc import Mapping
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Balancer(nn.Module):
    """Sends each loss back through the generator's output with a gradient of a fixed norm.

    With g_i the gradient of loss i with respect to the output, and <|g_i|> a moving average of its
    norm, the output receives sum_i total_norm * w_i / (sum_j w_j) * g_i / <|g_i|>.

    Args:
        weights: per loss; a loss of weight 4 pulls four times as hard as one of weight 1.
        balance: False sends sum_i w_i * g_i instead.
        total_norm: of the sum, were all gradients parallel.
        decay: of the moving average, per call.
        per_item: the norm is the mean over the batch of the norms per item, not the norm of the
            whole gradient.
        equalize_items: divide each item's gradient by its own norm rather than by the average.
            Loud items otherwise drown quiet ones. See ``item_weights`` of `backward`.
        epsilon: against division by zero.

    The moving averages are in the state dict; with several processes they are over all of them.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        balance: bool = True,
        total_norm: float = 1.0,
        decay: float = 0.999,
        per_item: bool = True,
        equalize_items: bool = False,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        if not all(0 <= w < math.inf for w in weights.values()) or sum(weights.values()) == 0:
            raise ValueError(f"weights must be non-negative and not all zero, got {dict(weights)}")
        if not (0 < total_norm < math.inf and 0 <= epsilon < math.inf):
            raise ValueError(
                "expected total_norm above 0 and epsilon of 0 or more, "
                f"got {total_norm} and {epsilon}"
            )
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        if equalize_items and not balance:
            raise ValueError("equalize_items=True needs balance=True")
        self.weights = dict(weights)
        self.balance = balance
        self.total_norm = total_norm
        self.decay = decay
        self.per_item = per_item
        self.equalize_items = equalize_items
        self.epsilon = epsilon
        for name in weights:
            # [discounted sum of norms, discounted count]: their ratio is the unbiased average
            self.register_buffer(f"norm_{name}", torch.zeros(2))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        output: Tensor,
        *,
        item_weights: Tensor | None = None,
    ) -> Tensor:
        """Back-propagate the balanced gradient through ``output``.

        Args:
            losses: scalars that depend on ``output``; any subset of those with a weight.
            output: float [B, ...], the generator's output, part of its graph.
            item_weights: float [B], with ``equalize_items`` only: relative size of the items'
                gradients, for example the root of their RMS.

        Returns:
            The loss that was in effect, sum_i scale_i * loss_i, detached.
        """
        gradients = self.gradients(losses, output)
        total, effective = self.combine(losses, gradients, item_weights=item_weights)
        output.backward(total)
        return effective

    def gradients(self, losses: Mapping[str, Tensor], output: Tensor) -> dict[str, Tensor]:
        """Differentiate each loss with respect to ``output``; keeps its graph.

        With `combine`, the two halves of `backward`: between them, the gradients of several parts
        of a batch can be joined.
        """
        self._check(losses)
        grad = torch.autograd.grad
        return {name: grad(loss, [output], retain_graph=True)[0] for name, loss in losses.items()}

    @torch.no_grad()
    def combine(
        self,
        losses: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        *,
        item_weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Balance gradients float [B, ...], by name, of losses that are means over the B items.

        With several processes, each brings its own items, and as many as it likes. The results are
        those of one process with all items: *add up* what they give in the parameters, rather than
        average it.

        Returns:
            The balanced gradient, float [B, ...], and the loss that was in effect.

        Raises:
            FloatingPointError: if a loss or its gradient is not finite in any process; in all of
                them, and before anything is changed.
        """
        self._check(losses)
        if item_weights is not None and not self.equalize_items:
            raise ValueError("item_weights needs equalize_items=True")
        norms = {name: value.float().flatten(1).norm(dim=1) for name, value in gradients.items()}
        part, averages = self._averages(norms, losses)
        share = sum(self.weights[name] for name in losses)
        total = torch.zeros_like(next(iter(gradients.values())))
        effective = total.new_zeros((), dtype=torch.float32)
        for name, loss in losses.items():
            weight = self.weights[name]
            scale: Tensor | float = weight
            if self.balance:
                scale = weight / share * self.total_norm / (self.epsilon + averages[name])
            if self.equalize_items:
                gradient = self._equalize(gradients[name] * part, norms[name] * part, item_weights)
                total += gradient * (weight / share * self.total_norm)
            else:
                total += gradients[name] * part * scale
            effective = effective + scale * loss
        return total, effective

    def average_norms(self) -> dict[str, float]:
        """Moving average of each loss's gradient norm, so far; NaN before the first call."""
        buffers = {name: self.get_buffer(f"norm_{name}") for name in self.weights}
        return {name: float(value[0] / value[1]) for name, value in buffers.items()}

    def _averages(
        self, norms: Mapping[str, Tensor], losses: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Move the averages by one step.

        Args:
            norms: float [B], by name, of the gradients of the mean over the B items.
            losses: float [], only to look whether they are finite.

        Returns:
            This process's part of all items, float [], by which its gradients are those of the
            mean over all of them; and the averages.
        """
        own = len(next(iter(norms.values())))
        sums = [torch.stack([n.sum(), n.square().sum() * own]) * own for n in norms.values()]
        values = [losses[name].detach().float().reshape(1) for name in norms]
        joined = _summed(torch.cat([*sums, *values, sums[0].new_tensor([own])]))
        items, sums = joined[-1], list(joined[: 2 * len(norms)].view(-1, 2))
        if not joined.isfinite().all():
            _refuse(norms, losses)
        for name, (total, squares) in zip(norms, sums, strict=True):
            state = self.get_buffer(f"norm_{name}")
            state.mul_(self.decay)
            state[0] += total / items.square() if self.per_item else squares.sqrt() / items
            state[1] += 1
        states = {name: self.get_buffer(f"norm_{name}") for name in norms}
        return own / items, {name: state[0] / state[1] for name, state in states.items()}

    def _equalize(self, gradient: Tensor, norms: Tensor, item_weights: Tensor | None) -> Tensor:
        weights = torch.ones_like(norms) if item_weights is None else item_weights.to(norms)
        total, count = _summed(torch.stack([weights.sum(), weights.new_tensor(len(weights))]))
        factors = weights / (total / count) / (self.epsilon + norms)
        return gradient * factors.view(-1, *[1] * (gradient.ndim - 1))

    def _check(self, losses: Mapping[str, Tensor]) -> None:
        unknown = sorted(losses.keys() - self.weights.keys())
        if unknown or not losses:
            raise ValueError(
                f"losses must be among {sorted(self.weights)}, got {sorted(losses)}: "
                "give a new loss a weight, or leave it out"
            )


def _summed(value: Tensor) -> Tensor:
    """Add up over the processes."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(value)
    return value


def _refuse(norms: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> NoReturn:
    """Raise for a loss or gradient of any process that is not finite."""
    found = []
    for name, norm in norms.items():
        if not norm.isfinite().all():
            found.append(f"{name!r} in item(s) {(~norm.isfinite()).nonzero()[:, 0].tolist()}")
        elif not losses[name].isfinite():
            found.append(f"{name!r} of value {float(losses[name])}")
    raise FloatingPointError(
        "a loss or its gradient is NaN, infinite or too large to square: "
        f"{'; '.join(found) or 'on another rank'}. Nothing was updated: the run has diverged, or "
        "the batch holds such samples; lower the learning rate or clip gradients, or repair the "
        "sound"
    )
