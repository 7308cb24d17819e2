"""How far long work is: a bar on a terminal, plain lines elsewhere, such as in the log of a job."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

EVERY = 60  # seconds between two lines of one piece of work
LINE = "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt} {unit}, {elapsed} gone, {remaining} left"


class Lines(tqdm):
    """A bar for who reads a file: a line after a minute, and one per minute at most."""

    monitor_interval = 0  # no thread: it would only draw bars again

    def __init__(self, *args: Any, **options: Any) -> None:
        form = LINE if options.get("total") else None  # without an end there is no share of it
        own = {"gui": True, "miniters": 1, "mininterval": EVERY, "delay": EVERY}
        super().__init__(*args, **options, **own, bar_format=form)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write where the work is; called when a line is due."""
        self.fp.write(f"{self if msg is None else msg}\n")


def bar(iterable: Any = None, *, show: bool, **options: Any) -> tqdm:
    """Return a bar over an iterable, or to be updated by hand, on stderr.

    Args:
        iterable: what is gone through; None if the caller counts.
        show: whether anything is to be seen.
        options: of tqdm: total, desc, unit and the like.
    """
    if show and not sys.stderr.isatty():
        return Lines(iterable, **options)
    return tqdm(iterable, **options, disable=not show, leave=False)


def say(text: str, *, show: bool) -> None:
    """Write a line that a bar on a terminal makes superfluous."""
    if show and not sys.stderr.isatty():
        tqdm.write(text, file=sys.stderr)


@contextmanager
def timed(text: str, *, show: bool) -> Iterator[None]:
    """Write a line when a piece of work is done: the text and the time it took."""
    start = time.perf_counter()
    yield
    say(f"{text} in {time.perf_counter() - start:.1f} s", show=show)
