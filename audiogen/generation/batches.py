"""Any number of captions, made in batches that do not decide what comes out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, TypeVar

from torch import Tensor

from audiogen.generation.memory import Need, is_out_of_memory, too_little
from audiogen.generation.seeds import Pair
from audiogen.lm.sampling import is_number
from audiogen.text.captions import Caption, attributes, check_captions

logger = logging.getLogger(__name__)

AHEAD = 1024  # captions of an iterator that are read before the first sounds come
MOST = 2**31  # that wait at once, whatever size a batch may have
END: Any = object()  # of an iterator
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """One sound of `audiogen.AudioGen.generate_each`, on the CPU."""

    index: int  # of its caption
    codes: Tensor  # int64 [K, T]
    waveform: Tensor  # float32 [C, T * hop_length], full scale at 1, not clipped there
    seed: Pair | None  # that ``seeds=[seed]`` makes it again; None where nothing was drawn
    scorer: str | None = None  # name of what chose it; None where there was no choice
    scores: tuple[float, ...] = ()  # of all candidates; the first is the sound of best_of=1

    @property
    def n(self) -> int:
        """Candidates it was chosen from."""
        return max(1, len(self.scores))

    @property
    def score(self) -> float | None:
        """Its own score, the largest; None where there was no choice."""
        return max(self.scores, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One sound to make."""

    index: int
    caption: Caption
    duration: float  # seconds
    num_frames: int  # they make
    seed: Pair | None

    @property
    def length(self) -> int:
        """Characters of the caption."""
        return sum(len(text or "") for text in attributes(self.caption).values())


def read_items(
    captions: Iterable[Caption],
    durations: float | Iterable[float],
    seeds: Iterable[Pair] | None,
    *,
    per_item: bool,
    count: Callable[[float], int],
) -> Iterator[Item]:
    """Join captions with their durations, seconds, and seeds, one after the other.

    Args:
        captions: any number.
        durations: for all, or one per caption.
        seeds: one per caption; None draws nothing.
        per_item: refuse more seeds than captions.
        count: the frames of a duration, or ValueError.

    Raises:
        ValueError: naming the item that makes no sense, or if there are not as many durations or
            seeds as captions.
    """
    seconds = _each(durations)
    pairs = repeat(None) if seeds is None else iter(seeds)
    index = -1
    for index, caption in enumerate(captions):
        duration, seed = next(seconds, END), next(pairs, END)
        if END in (duration, seed):
            name = "durations" if duration is END else "seeds"
            raise ValueError(f"there are {index} {name} and more captions: give one for each")
        try:
            check_captions([caption])
            num_frames = count(duration)
        except ValueError as error:
            said = str(error).removeprefix("caption 0 ")
            raise ValueError(f"item {index}: {said}") from error
        yield Item(
            index=index, caption=caption, duration=duration, num_frames=num_frames, seed=seed
        )
    ends = {"durations": not isinstance(seconds, repeat), "seeds": per_item and seeds is not None}
    for name, left in (("durations", seconds), ("seeds", pairs)):
        if ends[name] and next(left, END) is not END:
            raise ValueError(f"there are {index + 1} captions and more {name}: give one for each")


def _each(durations: Any) -> Iterator[Any]:
    if is_number(durations):
        return repeat(durations)
    if isinstance(durations, str) or not isinstance(durations, Iterable):
        raise ValueError(f"durations are seconds, one number or one per caption; got {durations!r}")
    return iter(durations)


def in_batches(
    items: Iterable[Item],
    *,
    size: int,
    ahead: int = AHEAD,
    keep_order: bool = False,
    by_seconds: bool = False,
) -> Iterator[list[Item]]:
    """Group items of equal frames, the longest sounds and captions first.

    At most ``ahead`` items wait; what does not fill a batch waits for others of its length.

    Args:
        items: in any order.
        size: most items of a batch.
        ahead: items read before the first batch.
        keep_order: only cut the items, where their frames change.
        by_seconds: also part sounds of as many frames that are not of the same duration.
    """
    items = iter(items)
    if keep_order:
        yield from _consecutive(items, size, by_seconds)
        return
    waiting: list[Item] = []
    while True:
        room = min(max(ahead, size), MOST) - len(waiting)
        fresh = list(islice(items, room))
        waiting += fresh
        if not waiting:
            return
        waiting.sort(key=lambda item: (*_group(item, by_seconds), -item.length, item.index))
        batches = list(_consecutive(iter(waiting), size, by_seconds))
        last = len(fresh) < room
        whole = batches if last else [batch for batch in batches if len(batch) == size]
        whole = whole or [max(batches, key=len)]
        yield from whole
        taken = {item.index for batch in whole for item in batch}
        waiting = [item for item in waiting if item.index not in taken]


def _group(item: Item, by_seconds: bool) -> tuple[float, float]:
    """Say what items of one batch have in common; the longest are the first in order."""
    return -item.num_frames, -item.duration if by_seconds else 0.0


def _consecutive(items: Iterator[Item], size: int, by_seconds: bool) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        if batch and (
            len(batch) == size or _group(batch[0], by_seconds) != _group(item, by_seconds)
        ):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


class Fitting:
    """Runs batches in as many rows at once as memory has room for.

    Args:
        rows: most rows at once to begin with; halved whenever memory runs out.
        per_item: rows of an item, which may be computed apart.
        whole: give ``make`` all items of a batch at once, whatever it does with its rows.
        need: of so many rows, for the advice where a single one is too much.
        release: gives memory back before the next try.
    """

    def __init__(
        self,
        rows: int,
        *,
        per_item: int,
        whole: bool,
        need: Callable[[int], Need],
        release: Callable[[], None],
    ) -> None:
        self.rows, self.per_item, self.whole = rows, per_item, whole
        self._need, self._release = need, release

    def run(
        self, items: Sequence[Item], make: Callable[[Sequence[Item], int], Sequence[Result]]
    ) -> Iterator[Result]:
        """Yield what ``make(items, rows)`` returns, of all items at once or of part after part.

        Raises:
            TooLittleMemoryError: if one row alone does not fit.
        """
        left = list(items)
        while left:
            part = left if self.whole else left[: max(1, self.rows // self.per_item)]
            made = self._tried(part, make)
            if made is not None:
                left = left[len(part) :]
                yield from made

    def _tried(
        self, part: Sequence[Item], make: Callable[[Sequence[Item], int], Sequence[Result]]
    ) -> Sequence[Result] | None:
        """Return None where memory ran out and less may fit."""
        try:
            return make(part, self.rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            rows = min(self.rows, len(part) * self.per_item)
            if rows == 1:
                raise too_little(error, self._need(rows)) from error
            self.rows = rows // 2
            logger.warning(
                "memory ran out with %d sounds at once: going on with %d, which changes none",
                *(rows, self.rows),
            )
        # Behind the handler, where what the failed call held is free.
        self._release()
        return None
