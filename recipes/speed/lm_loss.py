"""The loss of the head alone, forward and backward: from all logits, and without them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from audiogen.lm.head_loss import head_cross_entropy
from audiogen.lm.loss import IGNORED, codebook_cross_entropy
from audiogen.products import products
from audiogen.tokens.layouts import Delay
from audiogen.tokens.patterns import align_logits, build_sequence
from recipes.speed.lm_baseline import stacked_loss
from recipes.speed.timing import Work

WAYS = ("baseline", "logits", "exact", "exact-onednn", "bf16")


def make_loss(
    way: str,
    *,
    dim: int,
    batch: int,
    frames: int,
    codebooks: int,
    size: int,
    delays: Sequence[int],
    device: str,
) -> Work:
    """Return a function that computes the loss and its gradients, and lets go of them."""
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(batch, frames, dim, generator=generator).to(device).requires_grad_()
    codes = torch.randint(0, size, (batch, codebooks, frames), generator=generator).to(device)
    weight = torch.randn(codebooks * size, dim, generator=generator).to(device) / dim**0.5
    if way == "baseline":
        heads = [nn.Parameter(part.clone()) for part in weight.chunk(codebooks)]
        return _differentiated(lambda: _stacked(hidden, heads, codes, delays), [hidden, *heads])
    weight.requires_grad_()
    layout = Delay(num_codebooks=codebooks, delays=delays).layout(frames)
    if way == "logits":
        return _differentiated(lambda: _aligned(hidden, weight, codes, layout), [hidden, weight])
    targets = build_sequence(codes, layout[:, 1 : frames + 1], fill=IGNORED)

    def lean() -> Tensor:
        rounded = torch.autocast(device, dtype=torch.bfloat16) if way == "bf16" else nullcontext()
        with products("onednn" if way == "exact-onednn" else "default"), rounded:
            return head_cross_entropy(hidden, weight, targets)[0]

    return _differentiated(lean, [hidden, weight])


def _differentiated(loss: Callable[[], Tensor], leaves: Sequence[Tensor]) -> Work:
    def run() -> float:
        value = loss()
        torch.autograd.grad(value, leaves)
        return value.item()

    return run


def _stacked(
    hidden: Tensor, heads: Sequence[Tensor], codes: Tensor, delays: Sequence[int]
) -> Tensor:
    """Stack the logits of the heads, bring them to their codes, copy the chosen ones."""
    logits = torch.stack([nn.functional.linear(hidden, head) for head in heads], dim=1)
    frames = codes.shape[-1]
    aligned = torch.full_like(logits, torch.nan)
    valid = torch.zeros_like(codes, dtype=torch.bool)
    for k, delay in enumerate(delays):
        aligned[:, k, : frames - delay] = logits[:, k, delay:]
        valid[:, k, : frames - delay] = True
    return stacked_loss(aligned, codes, valid)[0]


def _aligned(hidden: Tensor, weight: Tensor, codes: Tensor, layout: Tensor) -> Tensor:
    """Compute all logits by one head and ignore those without a target."""
    logits = nn.functional.linear(hidden, weight).unflatten(-1, (codes.shape[1], -1))
    aligned, valid = align_logits(logits.transpose(1, 2), layout)
    return codebook_cross_entropy(aligned, codes, valid.expand(codes.shape)).mean()
