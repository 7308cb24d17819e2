"""How far a call of the pipeline is: told to a function, or shown as a bar."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor
from tqdm import tqdm

Report = Callable[[int, int], None]  # of frames done and frames to do


class Bar:
    """A bar on stderr, there from the first frame to the last."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` frames are made."""
        if self._bar is None:
            self._bar = tqdm(total=total, unit="frame", file=sys.stderr)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
            self._bar = None


class Tally:
    """Counts frames, and tells.

    Args:
        total: frames to do; more may become known.
        progress: whom to tell; true is ``own``, or else a `Bar`.
        own: see `audiogen.AudioGen.set_custom_progress_callback`.
    """

    def __init__(self, total: int, progress: Report | bool | None, own: Report | None) -> None:
        self.total, self.done = total, 0
        if isinstance(progress, bool):
            progress = (own or Bar()) if progress else None
        self._report = progress

    def add(self, frames: int) -> None:
        """Count frames that are made."""
        self.done += frames
        if self._report is not None:
            self._report(self.done, self.total)

    def counting(self, frames: Iterable[Tensor], *, weight: int = 1) -> Iterator[Tensor]:
        """Pass frames on, each counted as ``weight``."""
        for frame in frames:
            self.add(weight)
            yield frame
