"""One side of the pairs through one network: what is known, what is waiting, what was found."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from evaluation.embedders import FeatureNetwork
from evaluation.features.batches import WindowBatches
from evaluation.features.cache import FeatureCache
from evaluation.features.front_part import Part
from evaluation.folders import shorten

Rows = dict[str, Tensor]  # output -> float32 [n, D], one row per window


@dataclass(kw_only=True)
class Notes:
    """What happened on the way, for the report."""

    found: int = 0  # sounds that the cache knew
    damaged: list[str] = field(default_factory=list)  # its entries that could not be used
    unwritten: list[str] = field(default_factory=list)  # why it takes nothing more

    def keep(self, cache: FeatureCache, key: str, tensors: Rows, about: Mapping[str, Any]) -> None:
        """Write an entry; a full disk is no reason to lose the scores, so it is noted alone."""
        if self.unwritten:
            return
        try:
            cache.put(key, tensors, about)
        except OSError as error:
            self.unwritten.append(f"{cache.folder}: {error.strerror or error}")

    def texts(self) -> list[str]:
        """Return what a reader of the report must know."""
        texts = {
            f"{len(self.damaged)} entries of the cache were damaged and computed again: "
            f"{shorten(self.damaged, limit=1)}": self.damaged,
            f"features were not kept: {shorten(self.unwritten)}": self.unwritten,
        }
        return [text for text, entries in texts.items() if entries]


class Lane:
    """Collects the features of one side by one network, pair by pair."""

    def __init__(
        self,
        network: FeatureNetwork,
        *,
        batch_size: int,
        cache: FeatureCache | None,
        notes: Notes,
    ) -> None:
        """Take the network, its largest batch, where features are kept, and what to note."""
        self.batches = WindowBatches(network, batch_size=batch_size, done=self._done)
        self.cache = cache
        self.notes = notes
        self.rows: dict[int, Rows] = {}  # by number of the pair
        self.error: str | None = None  # the first sound that has no features, and why
        self.same: dict[str, list[int]] = {}  # key -> pairs of this very sound
        self.known = 0  # sounds out of the cache
        self.seconds = 0.0  # that the network took
        self.waiting: dict[int, Part] = {}  # the first pair of a key, while its windows wait

    def take(self, index: int, part: Part) -> None:
        """Take a sound of a pair; the same sound again goes through the network once."""
        if part.error is not None:
            self.error = self.error or part.error
            return
        if part.damaged is not None:
            self.notes.damaged.append(part.damaged)
        pairs = self.same.setdefault(part.key, [])
        pairs.append(index)
        if len(pairs) > 1:
            if pairs[0] in self.rows:
                self.rows[index] = self.rows[pairs[0]]
        elif part.rows is not None:
            self.notes.found += 1
            self.known += 1
            self.rows[index] = part.rows
        elif part.windows is not None:
            self.waiting[index] = part
            with self._clock():
                self.batches.add(index, part.windows)

    def finish(self) -> dict[int, Rows]:
        """Run what still waits and return the features by number of the pair."""
        with self._clock():
            self.batches.flush()
        return self.rows

    @contextmanager
    def _clock(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start

    def _done(self, index: int, rows: Rows) -> None:
        part = self.waiting.pop(index)
        if not all(values.isfinite().all() for values in rows.values()):
            self.error = self.error or (
                f"{part.file}: the network {part.features} gives values that are not finite"
            )
            return
        for pair in self.same[part.key]:
            self.rows[pair] = rows
        if self.cache is not None:
            self.notes.keep(self.cache, part.key, rows, part.about)
