"""What a `TokenLM` refuses, in the caller's words: sizes, options, sequences and text."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audiogen.lm.transformer import ACTIVATIONS

LEAST = {"dim": 4, "num_heads": 1, "num_layers": 1, "codebook_size": 2, "text_dim": 1}
OPTIONAL = ("embedding_std", "layer_scale")
FACTORS = ("max_period", "position_scale", *OPTIONAL)
SMALLEST = math.ulp(0.0)  # greater than 0
BOUNDS = {  # of factors that need not be greater than 0: the least, and how it is said
    "position_scale": (-math.inf, ""),
    "layer_scale": (0.0, " of at least 0"),  # branches that begin by adding nothing
}
CHOICES: dict[str, tuple[object, ...]] = {
    "activation": tuple(ACTIVATIONS),
    "init": (None, "complete", "reference"),
    "weight_init": ("gaussian", "uniform"),
    "depth_init": ("current", "global", None),
    **dict.fromkeys(
        ["norm_first", "bias_attn", "bias_ff", "bias_proj", "paper_exact"], (False, True)
    ),
}


def check_keywords(keywords: Mapping[str, Any]) -> None:
    """Refuse keywords of a `TokenLM` that describe no transformer; those of patterns are not read.

    Raises:
        ValueError: naming the keyword.
    """
    for name, least in LEAST.items():
        _check_count(name, keywords[name], least=least)
    dim, num_heads, hidden_scale = (keywords[k] for k in ("dim", "num_heads", "hidden_scale"))
    if dim % 2 or dim % num_heads:
        raise ValueError(
            f"dim must be even, at least 4 and a multiple of num_heads, got dim={dim} and "
            f"num_heads={num_heads}: change one of them"
        )
    if not (math.isfinite(hidden_scale) and hidden_scale * dim >= 1):
        raise ValueError(
            f"hidden_scale is the width of the MLP in units of dim: it must leave at least one "
            f"channel of {dim}, got {hidden_scale}"
        )
    for name in FACTORS:
        _check_factor(name, keywords[name])
    for name, known in CHOICES.items():
        _check_choice(name, keywords[name], known)


def _check_count(name: str, count: object, *, least: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise ValueError(f"expected a whole number {name} of at least {least}, got {count!r}")


def _check_factor(name: str, factor: float | None) -> None:
    if factor is None and name in OPTIONAL:
        return
    least, bound = BOUNDS.get(name, (SMALLEST, " greater than 0"))
    if factor is None or not math.isfinite(factor) or factor < least:
        raise ValueError(f"{name} must be a finite number{bound}, got {factor}")


def _check_choice(name: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse what is none of the known values; 1 and "true" are not True."""
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
