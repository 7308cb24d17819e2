"""Classifier-free guidance: hide captions in training, extrapolate away from none in sampling.

Source: arXiv:2207.12598; for token models AudioGen (arXiv:2209.15352), section 3.2.
"""

import math

import torch
from torch import Tensor

from audiogen.lm.sampling import is_number


def drop_conditions(mask: Tensor, *, probability: float, generator: torch.Generator) -> Tensor:
    """Hide the whole caption of a random share of the batch.

    Every item is drawn on its own; the reference draws once for a whole batch.

    Args:
        mask: bool [B, L], true where a text position may be attended to.
        probability: chance in [0, 1] that an item trains without its caption.
        generator: the source of randomness, on the device of ``mask``.

    Returns:
        bool [B, L]; a dropped item is false everywhere.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability is a chance in [0, 1], got {probability}")
    keep = torch.rand(len(mask), generator=generator, device=mask.device) >= probability
    return mask & keep[:, None]


def check_guidance(scale: float) -> None:
    """Refuse a guidance scale that is no finite number.

    Raises:
        ValueError: with what came instead.
    """
    if not is_number(scale) or not math.isfinite(scale):
        raise ValueError(f"guidance_scale must be a finite number, got {scale!r}")


def guide(conditional: Tensor, unconditional: Tensor, *, scale: float) -> Tensor:
    """Extrapolate logits away from the unconditional ones: u + scale * (c - u).

    ``scale=1`` returns ``conditional`` up to rounding; ``scale=0`` ignores the caption.
    """
    return unconditional + scale * (conditional - unconditional)
