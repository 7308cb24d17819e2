"""Batches for training: one endless, restorable stream, and validation in a fixed order.

A run is counted in updates, so its stream has no last batch: it is the items 0, 1, 2, ..., dealt to
the ranks in turn. The datasets derive clip, crop and caption from that number, anew in every pass,
so that a position says all there is to say.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate
from torchdata.stateful_dataloader import StatefulDataLoader

from audiogen.data.sampler import EndlessSampler

Collate = Callable[[list[Any]], Any]


class EndlessLoader(StatefulDataLoader):
    """Batches of an `EndlessSampler`; Lightning saves and restores where it stands.

    The position of rank 0 serves all ranks. What workers read ahead does not count.
    """

    def __init__(
        self, dataset: Dataset, *, batch_size: int, rank: int, world_size: int, **how: Any
    ) -> None:
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=EndlessSampler(rank=rank, world_size=world_size),
            drop_last=True,
            generator=torch.Generator(),  # else the loader draws from the global stream
            **how,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind the batches that were delivered.

        Raises:
            ValueError: if the position is of a loader with another number of workers, whose
                states torchdata cannot divide anew.
        """
        saved = state_dict.get("_snapshot", {}).get("_main_snapshot", {}).get("_num_workers", 0)
        if saved != self.num_workers:
            raise ValueError(
                f"the checkpoint was written with data.num_workers={saved}, this run has "
                f"{self.num_workers}: go on with data.num_workers={saved}"
            )
        super().load_state_dict(state_dict)


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
        """Return this rank's share of the validation items, in order.

        Raises:
            ValueError: if there are fewer items than ranks: one would not come to the summing up.
        """
        rank, world_size = self._place()
        if len(self.valid) < world_size:
            raise ValueError(
                f"{len(self.valid)} validation item(s) for {world_size} processes: give each at "
                "least one, or train with fewer trainer.devices"
            )
        return DataLoader(
            self.valid,
            batch_size=self.valid_batch_size,
            sampler=range(rank, len(self.valid), world_size),
            generator=torch.Generator(),
            persistent_workers=self.num_workers > 0,
            **self._loading(),
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Let the module look at a batch while it is on the CPU (``check_batch``)."""
        module = None if self.trainer is None else self.trainer.lightning_module
        check = getattr(module, "check_batch", None)
        if check is not None:
            check(batch)
        return batch

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
