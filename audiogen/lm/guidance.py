"""Classifier-free guidance: hide captions in training, extrapolate away from none in sampling.

Source: arXiv:2207.12598; for token models AudioGen (arXiv:2209.15352), section 3.2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from audiogen.lm.sampling import is_number

LARGEST_SCALE = 1e6  # logits times it are far from the end of float32, and greedy long before


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


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How far codes are drawn away from what no caption would give, and in which frames.

    Args:
        scale: 1 is the caption alone, 0 no caption at all; negative ones draw away from it.
        frames: the first frame that is guided, and the first that is no more; scale 1 holds
            everywhere else. None guides all.
        two_step: compute the logits with caption and those without one after the other: half the
            rows at once, and every weight read twice.

    Raises:
        ValueError: if one of them is not of that kind.
    """

    scale: float
    frames: tuple[int, int] | None = None
    two_step: bool = False

    def __post_init__(self) -> None:
        check_guidance(self.scale)
        if self.frames is not None:
            _check_frames(self.frames)
        if not isinstance(self.two_step, bool):
            raise ValueError(f"two_step must be true or false, got {self.two_step!r}")

    def covers(self, frame: int) -> bool:
        """Whether the codes of a frame are drawn otherwise than from the caption's logits."""
        within = self.frames is None or self.frames[0] <= frame < self.frames[1]
        return self.scale != 1 and within


def _check_frames(frames: tuple[int, int]) -> None:
    if (
        not isinstance(frames, tuple | list)
        or len(frames) != 2
        or not all(is_number(frame, whole=True) for frame in frames)
        or frames[0] > frames[1]
    ):
        raise ValueError(
            f"guidance_frames are the first frame that is guided and the first that is no more, "
            f"two whole numbers in order, or None for all; got {frames!r}"
        )


def check_guidance(scale: float) -> None:
    """Refuse a guidance scale that is no finite number, or beyond what logits have room for.

    Raises:
        ValueError: with what came instead.
    """
    if not is_number(scale) or not math.isfinite(scale):
        raise ValueError(f"guidance_scale must be a finite number, got {scale!r}")
    if abs(scale) > LARGEST_SCALE:
        raise ValueError(
            f"guidance_scale must be -{LARGEST_SCALE:g} to {LARGEST_SCALE:g}, got {scale:g}: "
            "float32 logits would overflow beyond; 3 is usual"
        )


def guide(conditional: Tensor, unconditional: Tensor, *, scale: float) -> Tensor:
    """Extrapolate logits away from the unconditional ones: u + scale * (c - u).

    ``scale=1`` returns ``conditional`` up to rounding; ``scale=0`` ignores the caption.
    """
    return unconditional + scale * (conditional - unconditional)
