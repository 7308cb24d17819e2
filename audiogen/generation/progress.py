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
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()


def reported(
    frames: Iterable[Tensor], total: int, progress: Report | bool | None, own: Report | None
) -> Iterator[Tensor]:
    """Pass frames on.

    Args:
        frames: as they are made.
        total: how many there will be.
        progress: whom to tell; true is ``own``, or else a `Bar`.
        own: see `audiogen.AudioGen.set_custom_progress_callback`.
    """
    if isinstance(progress, bool):
        progress = (own or Bar()) if progress else None
    for done, frame in enumerate(frames, start=1):
        if progress is not None:
            progress(done, total)
        yield frame
