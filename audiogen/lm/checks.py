"""What a `TokenLM` refuses, in the caller's words: sizes, options, sequences and text."""

import math

import torch
from torch import Tensor


def check_sizes(*, dim: int, num_heads: int, hidden_scale: float, **counts: int) -> None:
    """Refuse sizes that describe no transformer.

    Args:
        dim: D.
        num_heads: a divisor of D.
        hidden_scale: times D gives the width of the MLP.
        counts: whatever else must be a whole number; 2 or more for "codebook_size".

    Raises:
        ValueError: naming the size.
    """
    for name, count in {"dim": dim, "num_heads": num_heads, **counts}.items():
        least = {"codebook_size": 2}.get(name, 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            raise ValueError(f"expected a whole number {name} of at least {least}, got {count!r}")
    if dim < 4 or dim % 2 or dim % num_heads:
        raise ValueError(
            f"dim must be even, at least 4 and a multiple of num_heads, got dim={dim} and "
            f"num_heads={num_heads}: change one of them"
        )
    if not (math.isfinite(hidden_scale) and hidden_scale * dim >= 1):
        raise ValueError(
            f"hidden_scale is the width of the MLP in units of dim: it must leave at least one "
            f"channel of {dim}, got {hidden_scale}"
        )


def check_factors(*, max_period: float, position_scale: float, **positive: float | None) -> None:
    """Refuse factors that are not finite, or not positive where they must be.

    Args:
        max_period: positive.
        position_scale: any finite number.
        positive: further factors; None is none.

    Raises:
        ValueError: naming the factor.
    """
    if not math.isfinite(position_scale):
        raise ValueError(f"position_scale must be a finite number, got {position_scale}")
    for name, value in {"max_period": max_period, **positive}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number greater than 0, got {value}")


def check_choice(name: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse an option that is none of the known ones; 1 and "true" are not True.

    Raises:
        ValueError: naming them.
    """
    if type(value) not in {type(choice) for choice in known} or value not in known:
        raise ValueError(f"{name} must be one of {known}, got {value!r}")


def check_sequence(sequence: Tensor, *, num_codebooks: int, largest: int) -> None:
    """Refuse what is not int64 [B, K, S] with at least one row and step, in [0, largest].

    On an accelerator the range is not looked at, as asking would make the host wait.

    Raises:
        ValueError: with what came instead.
    """
    if sequence.ndim != 3 or sequence.shape[1] != num_codebooks:
        raise ValueError(
            f"expected a sequence [B, {num_codebooks}, S] of codes, "
            f"got shape {list(sequence.shape)}"
        )
    if sequence.dtype != torch.int64:
        raise ValueError(f"codes must be int64, got {sequence.dtype}: call .long()")
    if not sequence.numel():
        raise ValueError(f"there is nothing to read in codes of shape {list(sequence.shape)}")
    if sequence.device.type != "cpu" or torch.compiler.is_compiling():
        return
    low, high = int(sequence.min()), int(sequence.max())
    if low < 0 or high > largest:
        raise ValueError(
            f"codes must be in [0, {largest}], where {largest} stands for none, got {low} to "
            f"{high}: were they made by another codec?"
        )


def check_text(text: Tensor, mask: Tensor | None, *, batch: int, dim: int) -> None:
    """Refuse what is not float [B, L, dim] with a bool mask [B, L].

    Raises:
        ValueError: with what came instead.
    """
    if text.ndim != 3 or text.shape[-1] != dim:
        raise ValueError(
            f"expected projected text [B, L, {dim}], got shape {list(text.shape)}: "
            f"use lm.project_text"
        )
    if len(text) != batch:
        raise ValueError(f"expected a text for each of {batch} items, got {len(text)} texts")
    if not text.shape[1]:
        raise ValueError("text without a position: an item without caption has one, masked out")
    check_text_mask(mask, text)


def check_text_mask(mask: Tensor | None, text: Tensor) -> None:
    """Refuse a mask that is not bool [B, L] for text [B, L, ...].

    Raises:
        ValueError: with what came instead.
    """
    if mask is not None and (mask.dtype != torch.bool or mask.shape != text.shape[:2]):
        raise ValueError(
            f"expected a bool text mask {list(text.shape[:2])}, got {mask.dtype} {list(mask.shape)}"
        )
