"""What several processes share while they learn one set of codebooks."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


def in_group() -> bool:
    """Say whether other processes train the same model."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def same_on_ranks(value: Tensor) -> Tensor:
    """Take the value of the first process: atomic sums on a GPU round differently everywhere."""
    if in_group():
        value = value.contiguous()
        dist.broadcast(value, src=0)
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Which rows of the global batch lie in this process.

    Items are dealt to the processes in turn, as samplers deal them, and each holds as many rows
    (latents) as it has frames. The global order is that of the items: what is drawn from it is
    what one process with the whole batch draws.
    """

    sizes: tuple[tuple[int, int], ...]  # of each process: items, rows per item
    rank: int

    @classmethod
    def alone(cls, rows: int) -> "Share":
        """Return the share of a process that learns from its own rows only."""
        return cls(sizes=((1, rows),), rank=0)

    @classmethod
    def among_ranks(cls, items: int, rows: int, device: torch.device) -> "Share":
        """Return this process's share; all processes have to call.

        On a GPU this waits for the device, once per step and only with several processes: the
        others' batch sizes are not known otherwise, and the last batch of an epoch may differ.
        """
        if not in_group():
            return cls.alone(items * rows)
        own = torch.tensor([items, rows], device=device)
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        sizes = torch.stack(parts).tolist()
        return cls(sizes=tuple((i, r) for i, r in sizes), rank=dist.get_rank())

    @property
    def total(self) -> int:
        """Rows of all processes."""
        return sum(items * rows for items, rows in self.sizes)

    def pick(self, values: Tensor, drawn: Tensor) -> Tensor:
        """Take the drawn rows that lie here, zeros for the others: `sum` completes them.

        Args:
            values: [M, D], this process's rows.
            drawn: int64 [R] on the CPU, rows in the global order.
        """
        if len(self.sizes) == 1:
            return values[_to_device(drawn, values.device)]
        places, rows = self._own(drawn)
        picked = values.new_zeros(len(drawn), *values.shape[1:])
        places, rows = _to_device(places, values.device), _to_device(rows, values.device)
        return picked.index_copy_(0, places, values[rows])

    def sum(self, *values: Tensor) -> list[Tensor]:
        """Add up each value over the processes, in one go; all of them get the same bits."""
        if len(self.sizes) == 1:
            return list(values)
        flat = torch.cat([value.flatten() for value in values])
        dist.all_reduce(flat)
        parts = flat.split([value.numel() for value in values])
        return [part.view_as(value) for part, value in zip(parts, values, strict=True)]

    def _own(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return where in ``drawn`` [R] rows of this process stand, and which rows they are."""
        dealt = sorted((i, rank) for rank, (n, _) in enumerate(self.sizes) for i in range(n))
        index, rank = torch.tensor(dealt).unbind(dim=1)
        lengths = torch.tensor([rows for _, rows in self.sizes])[rank]
        ends = lengths.cumsum(dim=0)
        item = torch.searchsorted(ends, drawn, right=True)
        places = (rank[item] == self.rank).nonzero()[:, 0]
        item = item[places]
        start = ends[item] - lengths[item]
        return places, index[item] * lengths[item] + drawn[places] - start


def _to_device(rows: Tensor, device: torch.device) -> Tensor:
    """Move from the CPU without making a GPU's queue wait."""
    if device.type == "cuda":
        return rows.pin_memory().to(device, non_blocking=True)
    return rows.to(device)
