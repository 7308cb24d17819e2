"""The order in which items are drawn, restorable in the middle of an epoch."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch.utils.data import Sampler

from audiogen.rng import derive_seed


class EpochSampler(Sampler[int]):
    """Global item numbers: epoch e yields e * n up to (e + 1) * n, shuffled within the epoch.

    Data sets whose items are a pure function of (seed, number) then give new crops and captions
    in every epoch, and an interrupted run goes on exactly where it stopped. Use it with torchdata's
    StatefulDataLoader, which saves and restores it; each ``iter()`` begins the next epoch.

    Several processes share an epoch: process ``rank`` takes every ``world_size``-th number, so
    that the global batches are those of a single process. What does not divide evenly is left
    out of that epoch. The state does not depend on the rank, one copy serves all of them. (Tell
    Lightning ``use_distributed_sampler=False``, or it shares the share out again.)
    """

    def __init__(
        self, num_samples: int, *, seed: int, shuffle: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in [0, {world_size}), got {rank}")
        if num_samples < world_size:
            raise ValueError(
                f"{num_samples} samples per epoch cannot be shared by {world_size} processes; "
                "ask for more samples or start fewer processes"
            )
        self.num_samples = num_samples
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self._next_epoch = 0
        self._current = {"epoch": 0, "drawn": 0}
        self._restored: dict[str, int] | None = None

    def __len__(self) -> int:
        return self.num_samples // self.world_size

    def __iter__(self) -> Iterator[int]:
        restored, self._restored = self._restored, None
        return self._numbers(restored)

    def set_epoch(self, epoch: int) -> None:
        """Let the next ``iter()`` begin ``epoch``; one that has begun is not disturbed."""
        self._next_epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the position: epoch, numbers drawn by all processes, and what they belong to."""
        return self._identity() | self._current

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``: the next ``iter()`` yields the rest of its epoch.

        Raises:
            ValueError: if the state is of a sampler with another length, seed or order.
        """
        for key, own in self._identity().items():
            if state[key] != own:
                raise ValueError(
                    f"the saved position has {key}={state[key]!r}, this run has {own!r}: its "
                    "remaining items would be others; restore the value or start a new run"
                )
        self._current = {"epoch": int(state["epoch"]), "drawn": int(state["drawn"])}
        self._restored = dict(self._current)
        self._next_epoch = self._current["epoch"] + 1

    def _identity(self) -> dict[str, Any]:
        return {"num_samples": self.num_samples, "seed": self.seed, "shuffle": self.shuffle}

    def _numbers(self, restored: dict[str, int] | None) -> Iterator[int]:
        # Runs from the first next() on: loaders also make iterators that they never draw from.
        if restored is None:
            restored = {"epoch": self._next_epoch, "drawn": 0}
            self._next_epoch += 1
        self._current = restored
        epoch, order = restored["epoch"], self._order(restored["epoch"])
        while restored["drawn"] // self.world_size < len(self):
            place = restored["drawn"] // self.world_size * self.world_size + self.rank
            restored["drawn"] += self.world_size
            yield epoch * self.num_samples + order[place]

    def _order(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.num_samples))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        return torch.randperm(self.num_samples, generator=generator).tolist()


def nth_of_pass(index: int, *, count: int, seed: int) -> int:
    """Which of ``count`` things item ``index`` shows: each pass shows all, in a new order."""
    generation, place = divmod(index, count)
    return int(_order_of_pass(count, seed, generation)[place])


@lru_cache(maxsize=8)
def _order_of_pass(count: int, seed: int, generation: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, "pass", generation))
    return torch.randperm(count, generator=generator)
