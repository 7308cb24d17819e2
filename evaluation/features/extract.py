"""From pairs of sounds to features: every sound decoded once, for all networks of a card."""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from evaluation.audio import AudioError
from evaluation.features.cache import FeatureCache
from evaluation.features.front import GENERATED, REFERENCE, FrontEnd, Prepared
from evaluation.features.lane import Lane, Notes, Rows
from evaluation.features.pairs import PairFeatures
from evaluation.folders import shorten
from evaluation.preparation.pair import Item
from evaluation.progress import bar, say
from evaluation.settings import Settings

__all__ = ["Extraction", "PairFeatures", "extract"]

log = logging.getLogger(__name__)

ENDED = ("exited unexpectedly", "is killed by signal")  # what torch says of a lost worker
Where = tuple[str, str]  # side, name on the card
Measure = Callable[[str, Item], Mapping[str, float]]  # side and pair -> values by metric key


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """What was found in all pairs, in their order."""

    rows: dict[Where, dict[int, Rows]]  # by number of the pair
    failed: dict[str, str]  # side of the sanity battery -> why it has no scores
    prepared: list[Prepared]  # without the sounds themselves
    values: list[Mapping[str, float]]  # of metrics on the waveforms of each pair
    warnings: list[str]


def extract(
    front: FrontEnd, *, measure: Measure, cache: FeatureCache | None, settings: Settings
) -> Extraction:
    """Prepare all pairs, run the networks over what is not known yet, and measure waveforms.

    Memory does not grow with the length of the set, but for the features themselves.

    Args:
        front: the pairs and how to prepare them.
        measure: takes every pair, in order, for metrics on waveforms.
        cache: where features are kept.
        settings: worker processes, size of batches, whether to say how far it is.

    Raises:
        AudioError: naming the first pair that cannot be scored, and how many there are.
    """
    state = _State(front, cache=cache, batch_size=settings.batch_size)
    stream = _stream(front, settings.workers)
    for prepared in bar(
        stream, total=len(front), desc="scoring", unit="pairs", show=settings.progress
    ):
        state.take(prepared, measure)
    found = state.finish()
    for line in state.times():
        say(line, show=settings.progress)
    return found


class _State:
    """What is known after some of the pairs."""

    def __init__(self, front: FrontEnd, *, cache: FeatureCache | None, batch_size: int) -> None:
        self.front = front
        self.cache = cache
        self.batch_size = batch_size
        self.networks = {intake.name: intake.network for intake in front.intakes}
        self.lanes: dict[Where, Lane] = {}
        self.notes = Notes()
        self.failed: dict[str, str] = {}
        self.errors: list[str] = []  # one per pair
        self.broken: list[str] = []  # names of these pairs
        self.taken = 0
        self.prepared: list[Prepared] = []
        self.values: list[Mapping[str, float]] = []

    def take(self, prepared: Prepared, measure: Measure) -> None:
        """Take the next pair; after one that cannot be scored the others are only counted."""
        error = prepared.error or next(
            (p.error for p in prepared.parts if p.error and p.side in (REFERENCE, GENERATED)), None
        )
        pair = self.front.jobs[self.taken].pair
        self.taken += 1
        if error is not None:
            self.errors.append(error)
            self.broken.append(pair.name)
        if self.errors:
            return
        index = len(self.prepared)
        for side, reason in prepared.failed.items():
            self.failed.setdefault(side, reason)
        for part in prepared.parts:
            self._lane(part.side, part.features).take(index, part)
        values: dict[str, float] = {}
        for side, item in prepared.items.items():
            found = self._measure(measure, side, item)
            values |= found if side == GENERATED else {}
        self.values.append(values)
        self.prepared.append(replace(prepared, parts=[], items={}))

    def finish(self) -> Extraction:
        """Run what still waits; raise if there are pairs that cannot be scored."""
        rows = {} if self.errors else {where: lane.finish() for where, lane in self.lanes.items()}
        for (side, _), lane in self.lanes.items():
            if lane.error is not None and side in (REFERENCE, GENERATED):
                self.errors.append(lane.error)
            elif lane.error is not None:
                self.failed.setdefault(side, lane.error)
        if self.errors:
            count, total = len(self.errors), len(self.front)
            names = f": {shorten(self.broken, limit=10)}" if count == len(self.broken) else ""
            more = f" ({count} of {total} pairs cannot be scored{names})" if count > 1 else ""
            raise AudioError(self.errors[0] + more)
        log.info("%d features came from the cache", self.notes.found)
        return Extraction(
            rows=rows,
            failed=self.failed,
            prepared=self.prepared,
            values=self.values,
            warnings=self.notes.texts(),
        )

    def times(self) -> Iterator[str]:
        """Say of every network what it took, all sides together."""
        for name in self.networks:
            lanes = [lane for (_, own), lane in self.lanes.items() if own == name]
            known = sum(lane.known for lane in lanes)
            sounds = sum(len(lane.same) for lane in lanes) - known
            seconds = sum(lane.seconds for lane in lanes)
            yield f"{name}: features of {sounds} sounds in {seconds:.1f} s, {known} from the cache"

    def _measure(self, measure: Measure, side: str, item: Item) -> Mapping[str, float]:
        try:
            return measure(side, item)
        except AudioError as error:
            if side == GENERATED:
                self.errors.append(f"{item.name}: {error}")
                self.broken.append(item.name)
            self.failed.setdefault(side, str(error))
            return {}

    def _lane(self, side: str, name: str) -> Lane:
        if (side, name) not in self.lanes:
            self.lanes[side, name] = Lane(
                self.networks[name], batch_size=self.batch_size, cache=self.cache, notes=self.notes
            )
        return self.lanes[side, name]


def _stream(front: FrontEnd, workers: int) -> Iterator[Prepared]:
    """Yield all jobs prepared, in order.

    Raises:
        ChildProcessError: if a worker process ended on its own.
    """
    if workers == 0:
        yield from (front[index] for index in range(len(front)))
        return
    loader: Any = DataLoader(
        front,  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=pickle.dumps,  # through a pipe: shared memory is small in containers
        num_workers=workers,
        generator=torch.Generator(),  # so that the global stream of random numbers is left alone
    )
    try:
        for content in loader:
            yield pickle.loads(content)
    except RuntimeError as error:
        if not any(words in str(error) for words in ENDED):
            raise
        raise ChildProcessError(
            f"a process of --workers {workers} ended on its own, most likely for lack of memory: "
            "take fewer"
        ) from error
