"""Batches for training: one endless, restorable stream, and validation in a fixed order.

A run is counted in updates, so its stream has no last batch: it is the items 0, 1, 2, ..., dealt to
the ranks in turn. The datasets derive clip, crop and caption from that number, anew in every pass,
so a position is one integer, the same for any number of workers.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

ENDLESS = 2**48  # samples; a length that no run reaches, for loops that want one
Collate = Callable[[list[Any]], Any]


class EndlessSampler(Sampler[int]):
    """Item numbers of one rank, forever: rank, rank + world_size, rank + 2 * world_size, ..."""

    def __init__(self, *, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self.start = 0  # items of this rank that an earlier process had

    def __len__(self) -> int:
        return ENDLESS // self.world_size

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.rank + self.start * self.world_size, self.world_size)


class EndlessLoader(DataLoader[Any]):
    """Batches of an `EndlessSampler`; Lightning saves and restores how many were delivered.

    What workers have read ahead does not count, so a run may go on with another number of them;
    torchdata's StatefulDataLoader, which saves the workers too, cannot.
    """

    def __init__(
        self, dataset: Dataset, *, batch_size: int, rank: int, world_size: int, **how: Any
    ) -> None:
        self.delivered = 0
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=EndlessSampler(rank=rank, world_size=world_size),
            drop_last=True,
            generator=torch.Generator(),  # else the loader draws from the global stream
            **how,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            self.delivered += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the batches delivered to a rank; all ranks have as many."""
        return {"delivered": self.delivered}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind them."""
        assert isinstance(self.sampler, EndlessSampler)
        assert self.batch_size is not None
        self.delivered = state["delivered"]
        self.sampler.start = self.delivered * self.batch_size


class DataModule(LightningDataModule):
    """Loaders over two datasets that are opened when training starts.

    Args:
        train, valid: make map-style datasets; items are numbered globally (see above).
        batch_size: items per update and process.
        valid_batch_size: items per validation batch; None for ``batch_size``.
        num_workers: processes that load; 0 loads in the training process.
        collate: list of items -> batch.
    """

    def __init__(
        self,
        *,
        train: Callable[[], Dataset],
        valid: Callable[[], Dataset],
        batch_size: int,
        valid_batch_size: int | None = None,
        num_workers: int = 0,
        collate: Collate = default_collate,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise ValueError(
                "batch_size must be at least 1 and num_workers at least 0, "
                f"got {batch_size} and {num_workers}"
            )
        self.make_train = train
        self.make_valid = valid
        self.batch_size = batch_size
        self.valid_batch_size = valid_batch_size or batch_size
        self.num_workers = num_workers
        self.collate = collate
        self.train: Any = None
        self.valid: Any = None

    def setup(self, stage: str) -> None:
        """Open both datasets."""
        if self.train is None:
            self.train = self.make_train()
            self.valid = self.make_valid()

    def train_dataloader(self) -> EndlessLoader:
        """Return the endless loader of this rank."""
        rank, world_size = self._place()
        return EndlessLoader(
            self.train,
            batch_size=self.batch_size,
            rank=rank,
            world_size=world_size,
            **self._loading(),
        )

    def val_dataloader(self) -> DataLoader:
        """Return this rank's share of the validation items, in order."""
        rank, world_size = self._place()
        return DataLoader(
            self.valid,
            batch_size=self.valid_batch_size,
            sampler=range(rank, len(self.valid), world_size),
            generator=torch.Generator(),
            persistent_workers=self.num_workers > 0,
            **self._loading(),
        )

    def first_batches(self, num_items: int) -> Iterator[Any]:
        """Yield batches of the items 0, 1, ... of the training data, outside the stream."""
        for start in range(0, num_items, self.batch_size):
            stop = min(start + self.batch_size, num_items)
            yield self.collate([self.train[item] for item in range(start, stop)])

    def first_valid(self, num_items: int) -> Any:
        """Return one batch of the first validation items."""
        return self.collate([self.valid[item] for item in range(min(num_items, len(self.valid)))])

    def epoch(self, batches: int) -> int:
        """Return the passes over the training data after so many batches per rank."""
        return batches * self.batch_size * self._place()[1] // len(self.train)

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loading(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "collate_fn": self.collate,
            "pin_memory": torch.cuda.is_available(),
        }
