"""The training loss of the token language model."""

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100  # the target that cross_entropy skips, in the forward pass and in the gradient


def codebook_cross_entropy(logits: Tensor, codes: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average the cross-entropy of each codebook over its own valid positions.

    Codebooks are kept apart because a delay pattern gives them different numbers of targets; the
    loss to minimize is the plain mean of the K values, not weighted by count.

    Args:
        logits: float [B, K, T, N], aligned to ``codes``; anything, NaN too, where masked out.
        codes: int64 [B, K, T] in [0, N); anything where masked out.
        mask: bool [B, K, T] or [B, T], true where a code is a target; None for everywhere.

    Returns:
        float32 [K], in nats per code. A codebook without a single target is NaN, because an
        average of nothing is not zero.
    """
    if logits.shape[:-1] != codes.shape:
        raise ValueError(
            f"expected logits [B, K, T, N] for codes [B, K, T], got logits {list(logits.shape)} "
            f"and codes {list(codes.shape)}; align the logits first (TokenLM.predict does)"
        )
    mask = _full_mask(codes, mask)
    safe = logits.where(mask[..., None], 0)  # a masked NaN would reach the gradient as 0 * NaN
    losses = F.cross_entropy(
        safe.flatten(0, 2).float(),
        codes.where(mask, IGNORED).flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return losses.view(codes.shape).sum(dim=(0, 2)) / mask.sum(dim=(0, 2))


def mask_targets(codes: Tensor, mask: Tensor | None) -> Tensor:
    """Return codes int64 [B, K, T] with `IGNORED` where ``mask``, as above, is false."""
    return codes.where(_full_mask(codes, mask), IGNORED)


def _full_mask(codes: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones_like(codes, dtype=torch.bool)
    if mask.ndim == 2:
        mask = mask[:, None]
    if mask.ndim != 3 or mask.dtype != torch.bool:
        raise ValueError(
            f"expected a bool mask [B, K, T] or [B, T], got {mask.dtype} {list(mask.shape)}"
        )
    return mask.expand(codes.shape)
