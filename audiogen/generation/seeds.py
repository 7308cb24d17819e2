"""Where the draws of each sound come from: of its own seed, whatever is made beside it."""

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any, cast

import torch

from audiogen.lm.sampling import is_number
from audiogen.rng import item_generator

logger = logging.getLogger(__name__)

Seed = int | tuple[int, int]
Pair = tuple[int, int]  # seed and item


def seed_pairs(options: Mapping[str, Any]) -> Iterator[Pair]:
    """Return where each item draws from, one after the other: no end for a ``seed``.

    Raises:
        ValueError: if both ``seed`` and ``seeds`` are given, or ``seed`` is no whole number; as
            the iterator reaches it, if one of ``seeds`` is not.
    """
    seed, seeds = options.get("seed"), options.get("seeds")
    if seed is not None and seeds is not None:
        raise ValueError("give either seed, for all items, or seeds, one per item: not both")
    if isinstance(seed, list | tuple):
        seed, seeds = None, seed
    if seeds is not None:
        if isinstance(seeds, str) or not isinstance(seeds, Iterable):
            raise ValueError(f"expected one of seeds per description, got {seeds!r}")
        return map(_pair, seeds)
    if seed is None:
        seed = secrets.randbits(32)
        logger.info("no seed given: seed=%d makes these sounds again", seed)
    whole = _integer(seed)
    return ((whole, item) for item in count())


def item_seeds(num_items: int, options: Mapping[str, Any]) -> list[Pair]:
    """Return where each of ``num_items`` draws from.

    Raises:
        ValueError: as `seed_pairs`, and if ``seeds`` are not one per item.
    """
    pairs = seed_pairs(options)
    if not given_per_item(options):
        return list(islice(pairs, num_items))
    found = list(pairs)
    if len(found) != num_items:
        seeds = options.get("seeds") if options.get("seed") is None else options["seed"]
        raise ValueError(f"expected one of seeds per description: {num_items}, got {seeds!r}")
    return found


def given_per_item(options: Mapping[str, Any]) -> bool:
    """Whether each item has a seed of its own, of which there may be too few or too many."""
    return options.get("seeds") is not None or isinstance(options.get("seed"), list | tuple)


def generators_of(
    seeds: Iterable[Pair], candidates: Iterable[int] | None = None
) -> list[torch.Generator]:
    """Return one new source of randomness per row: of a seed pair, and which of best-of-n it is."""
    numbers = count(step=0) if candidates is None else candidates
    return [
        item_generator(seed=seed, item=item, candidate=candidate)
        for (seed, item), candidate in zip(seeds, numbers, strict=False)
    ]


def _pair(entry: Seed) -> Pair:
    seed, item = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, 0)
    return _integer(seed), _integer(item)


def _integer(value: object) -> int:
    if not is_number(value, whole=True):
        raise ValueError(f"a seed is a whole number, got {value!r}")
    return int(cast(int, value))
