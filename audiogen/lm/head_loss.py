"""The loss of a head without its logits: loss and gradient from a few positions at a time.

Source: the idea of a gradient computed in the forward pass, Liger Kernel (arXiv:2410.10989).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from audiogen.lm.loss import IGNORED


def head_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    weights: Tensor | None = None,
    rows: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Average the cross-entropy of each codebook that a linear head predicts.

    Loss and gradient are those of `codebook_cross_entropy` over ``hidden @ weight.T + bias``. Both
    are computed in the forward pass, from ``rows`` positions of one codebook at a time; what stays
    for the backward pass has the size of ``hidden`` and ``weight``. A position without a target
    has no effect, whatever ``hidden`` holds there.

    Args:
        hidden: float [B, S, D].
        weight: float [K * N, D], codebook after codebook.
        targets: int64 [B, K, S] in [0, N), `IGNORED` where a step has nothing to predict.
        bias: float [K * N] or None.
        weights: float [K], factors on the codebooks' losses; None for ones.
        rows: positions at a time; None for what suits a CPU's cache or a GPU's launches.

    Returns:
        loss: float [], the mean over the codebooks, in nats per code; at least float32.
        losses: float [K], of each over its own targets, without weights and gradient. NaN for a
            codebook without any, as an average of nothing is not zero. Then the mean is NaN too,
            unless that codebook's weight is 0, and the gradient is that of the other codebooks.
    """
    if hidden.ndim != 3 or targets.ndim != 3 or targets[:, 0].shape != hidden.shape[:2]:
        raise ValueError(
            f"expected hidden [B, S, D] and targets [B, K, S], got hidden {list(hidden.shape)} "
            f"and targets {list(targets.shape)}"
        )
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[2] or len(weight) % targets.shape[1]:
        raise ValueError(
            f"expected a head [K * N, D] with K={targets.shape[1]} and D={hidden.shape[2]}, "
            f"got {list(weight.shape)}"
        )
    if weights is not None and weights.shape != targets.shape[1:2]:
        raise ValueError(
            f"expected a weight for each of the {targets.shape[1]} codebooks, "
            f"got weights {list(weights.shape)}"
        )
    _check_targets(targets, codebook_size=len(weight) // targets.shape[1])
    if rows is None:
        rows = 512 if hidden.device.type == "cpu" else 8192
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    if weights is None:
        weights = weight.new_ones(targets.shape[1], dtype=torch.float32)
    learned = [tensor for tensor in (hidden, weight, bias) if tensor is not None]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learned)
    loss, losses = HeadCrossEntropy.apply(hidden, weight, bias, targets, weights, rows, learning)
    return loss, losses


def _check_targets(targets: Tensor, *, codebook_size: int) -> None:
    """Refuse codes that do not exist; not on an accelerator, where the host would have to wait."""
    if targets.device.type != "cpu" or torch.compiler.is_compiling():
        return
    codes = targets[targets != IGNORED]
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < codebook_size:
        raise ValueError(
            f"targets must be in [0, {codebook_size}) or {IGNORED} for none, got "
            f"{int(codes.min())} to {int(codes.max())}: were they made by another codec?"
        )


class HeadCrossEntropy(torch.autograd.Function):
    """What `head_cross_entropy` computes.

    Under autocast products are rounded as everywhere; sums of gradients never are.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        rows: int,
        learning: bool,
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss, and its gradients but for what is known in the end only."""
        x, wanted = hidden.flatten(0, 1), targets.transpose(0, 1).flatten(1)
        heads = weight.unflatten(0, (len(wanted), -1))
        exact = torch.promote_types(weight.dtype, torch.float32)
        biases = None if bias is None else bias.to(exact).view(heads.shape[:2])
        counts = (wanted != IGNORED).sum(dim=1).to(exact)
        scales = weights / (counts.clamp(min=1) * len(wanted))
        sums = _Gradients(x, heads, dtype=exact) if learning else None
        totals = counts.new_zeros(len(wanted))
        for k, head in enumerate(heads):
            head = head.to(_product_dtype(head))
            for chosen in _chunks(wanted[k], rows):
                own, target = x[chosen].to(head.dtype), wanted[k][chosen]
                own = own.where(target[:, None] != IGNORED, 0)
                logits = F.linear(own, head).to(exact)
                losses, logs = _losses(logits, target, None if biases is None else biases[k])
                totals[k] += losses.sum()
                if sums is not None:
                    slope = _slope(logs, target).to(head.dtype)
                    sums.x[chosen] += F.linear(slope, head.t()).to(exact) * scales[k]
                    sums.heads[k] += F.linear(slope.t(), own.t())
                    sums.biases[k] += slope.sum(dim=0, dtype=exact)
        losses = totals / counts
        ctx.mark_non_differentiable(losses)
        if sums is not None:
            ctx.save_for_backward(sums.x, sums.heads, sums.biases, scales)
        ctx.hidden_dtype, ctx.weight_dtype = hidden.dtype, weight.dtype
        ctx.shape, ctx.biased = hidden.shape, bias is not None
        return (weights * losses).where(weights != 0, 0).mean(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what `forward` computed."""
        grad_x, grad_heads, grad_biases, scales = ctx.saved_tensors
        shares = (upstream * scales)[:, None]
        return (
            (grad_x * upstream).to(ctx.hidden_dtype).view(ctx.shape),
            (grad_heads * shares[..., None]).flatten(0, 1).to(ctx.weight_dtype),
            (grad_biases * shares).flatten().to(ctx.weight_dtype) if ctx.biased else None,
            *(None,) * 4,
        )


class _Gradients:
    """Sums of gradients: of positions [R, D] already weighted, of heads [K, N, D] and biases not.

    What weighs a codebook is known first in the backward pass, with the upstream gradient.
    """

    def __init__(self, x: Tensor, heads: Tensor, *, dtype: torch.dtype) -> None:
        self.x = torch.zeros_like(x, dtype=dtype)
        self.heads = torch.zeros_like(heads, dtype=dtype)
        self.biases = self.heads.new_zeros(heads.shape[:2])


def _product_dtype(weight: Tensor) -> torch.dtype:
    """Return in what a product with ``weight`` is computed; autocast leaves float64 alone."""
    device = weight.device.type
    if torch.is_autocast_enabled(device) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return weight.dtype


def _chunks(targets: Tensor, rows: int) -> Iterator[Tensor | slice]:
    """Yield which positions of int64 [R] to look at together.

    A CPU may ask which have a target at all; a GPU would have to be waited for.
    """
    if targets.device.type == "cpu" and not torch.compiler.is_compiling():
        yield from (targets != IGNORED).nonzero()[:, 0].split(rows)
        return
    for start in range(0, len(targets), rows):
        yield slice(start, start + rows)


def _losses(logits: Tensor, targets: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the loss float [R] of every position, zero without a target, and all log shares."""
    if bias is not None:
        logits += bias
    logs = logits.log_softmax(dim=-1)
    picked = logs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return -picked.where(targets != IGNORED, 0), logs


def _slope(logs: Tensor, targets: Tensor) -> Tensor:
    """Turn the log shares [R, N] into the gradient of the sum of losses, in place.

    The average's divisor comes in behind the products: float16 could not hold a part so small.
    """
    picked = targets.clamp(min=0)[:, None]
    slope = logs.exp_().scatter_add_(1, picked, -torch.ones_like(logs[:, :1]))
    return slope.mul_(targets[:, None] != IGNORED)
