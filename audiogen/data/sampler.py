"""The order in which items are drawn, restorable anywhere."""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch.utils.data import Sampler

from audiogen.rng import derive_seed

ENDLESS = 2**48  # samples; a length that no run reaches, for loops that want one


class _Numbers(Iterator[int]):
    """rank, rank + world_size, rank + 2 * world_size, ...; torchdata saves and restores it."""

    def __init__(self, *, rank: int, world_size: int) -> None:
        self.rank = rank
        self.world_size = world_size
        self.dealt = 0  # to all ranks together

    def __next__(self) -> int:
        number = self.dealt + self.rank
        self.dealt += self.world_size
        return number

    def state_dict(self) -> dict[str, int]:
        """Return how many were dealt to all ranks, the same for each."""
        return {"dealt": self.dealt}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on behind them, with as many ranks as there are now."""
        if "drawn" in state_dict:  # by each of as many ranks: what older checkpoints hold
            self.dealt = state_dict["drawn"] * self.world_size
        else:
            self.dealt = state_dict["dealt"]


class EndlessSampler(Sampler[int]):
    """Item numbers of one rank, forever.

    Datasets whose items are a pure function of (seed, number) then give new crops and captions in
    every pass, and torchdata's StatefulDataLoader goes on exactly where it stopped.
    """

    def __init__(self, *, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return ENDLESS // self.world_size

    def __iter__(self) -> Iterator[int]:
        return _Numbers(rank=self.rank, world_size=self.world_size)


def nth_of_pass(index: int, *, count: int, seed: int) -> int:
    """Which of ``count`` things item ``index`` shows: each pass shows all, in a new order."""
    generation, place = divmod(index, count)
    return int(_order_of_pass(count, seed, generation)[place])


@lru_cache(maxsize=8)
def _order_of_pass(count: int, seed: int, generation: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, "pass", generation))
    return torch.randperm(count, generator=generator)
