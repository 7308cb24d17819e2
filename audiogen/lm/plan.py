"""What a call of the generator does at each step: all of it is known before the first."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from audiogen.lm.guidance import Guidance
from audiogen.tokens.layouts import Pattern

Passes = Literal["caption", "none", "both"]  # what a step's logits are made of


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one call, on the CPU; S counts those of the whole layout."""

    layout: Tensor  # int64 [K, S], the frame held by each step, -1 for none
    missing: Tensor  # bool [K, S], true where a code is to be drawn
    steps: list[int]  # those at which something is, in order
    whole: list[bool]  # S, whether all K codes of a step are
    passes: list[Passes]  # S, what each step needs
    complete: list[int]  # T, the step with which a frame and all before it are complete

    @classmethod
    def of(
        cls, pattern: Pattern, *, num_frames: int, prompt_frames: int, guidance: Guidance
    ) -> "Plan":
        """Plan ``num_frames`` frames, of which the first ``prompt_frames`` are given."""
        layout = pattern.layout(num_frames)
        missing = layout >= prompt_frames
        return cls(
            layout=layout,
            missing=missing,
            steps=missing.any(dim=0).nonzero().flatten().tolist(),
            whole=missing.all(dim=0).tolist(),
            passes=[_passes(guidance, frame) for frame in leading_frames(layout)],
            complete=pattern.steps(num_frames).amax(dim=0).cummax(dim=0).values.tolist(),
        )

    @property
    def max_steps(self) -> int:
        """Steps that are read."""
        return self.steps[-1]

    @property
    def halves(self) -> set[Passes]:
        """Whether steps are read with the caption, without it, or with and without."""
        needed = {self.passes[step] for step in self.steps}
        return {"caption", "none"} if "both" in needed else needed


def leading_frames(layout: Tensor) -> list[int]:
    """Return the frame of the first codebook that a step holds a code of, -1 for an empty step.

    That is codebook 0 wherever it has one; the others trail behind it, or have steps of their own.
    """
    first = (layout >= 0).int().argmax(dim=0, keepdim=True)
    leading: list[int] = layout.gather(0, first)[0].tolist()
    return leading


def _passes(guidance: Guidance, frame: int) -> Passes:
    if not guidance.covers(frame):
        return "caption"
    return "none" if guidance.scale == 0 else "both"


def frame_indices(pattern: Pattern, *, num_frames: int, num_steps: int) -> Tensor:
    """Return where the K codes of a frame are in a sequence [K, S] made flat: int64 [T, K]."""
    codebooks = torch.arange(pattern.num_codebooks)[:, None]
    return (codebooks * num_steps + pattern.steps(num_frames)).T
