"""One call of the pipeline, checked: what is to be generated, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from audiogen.generation.seeds import Pair
from audiogen.generation.settings import Settings
from audiogen.generation.windows import Window, plan_windows
from audiogen.text.captions import Caption

Row = tuple[int, int]  # index of a caption, and which of its candidates


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """B captions as the language model hears them. A row is one sound made for one of them."""

    captions: Sequence[Caption]
    states: Tensor  # float [B, L, D]
    mask: Tensor | None  # bool [B, L]; None attends to every position
    prompt: Tensor  # int64 [B, K, P]
    num_frames: int  # in the end, the prompt's included
    window: int  # frames
    stride: int  # frames
    plan: Sequence[Window] | None  # of the reference; None where it is the usual one
    seeds: Sequence[Pair] | None  # None where nothing is drawn
    settings: Settings

    @property
    def rows(self) -> list[Row]:
        """All candidates of all captions, those of one caption side by side."""
        candidates = range(self.settings.best_of)
        return [(item, candidate) for item in range(len(self.states)) for candidate in candidates]

    @property
    def new_frames(self) -> int:
        """How many are to be generated."""
        return self.num_frames - self.prompt.shape[-1]

    def windows(self) -> list[Window]:
        """Return the windows it is generated in."""
        given = self.prompt.shape[-1]
        sizes = {"num_frames": self.num_frames, "window": self.window, "stride": self.stride}
        return list(self.plan or plan_windows(**sizes, given=given))
