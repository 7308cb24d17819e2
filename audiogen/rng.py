"""Random generators derived from what they are for, never from a global stream.

The same keys give the same numbers on every machine and in every process, whatever ran before;
that is what makes a resumed run draw what the undisturbed one would have drawn.
"""

import hashlib
import json

import torch


def derive_seed(*keys: int | str) -> int:
    """Hash ``keys`` to a seed in [0, 2**63); their order and their types matter.

    Raises:
        ValueError: if there is no key, or one is neither an int nor a str.

    >>> derive_seed(1, "crop") == derive_seed(1, "crop") != derive_seed("1", "crop")
    True
    """
    if not keys:
        raise ValueError("derive_seed needs at least one key: equal calls would share their stream")
    for key in keys:
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise ValueError(f"keys must be int or str, got {key!r} of type {type(key).__name__}")
    text = json.dumps(keys, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def item_generator(
    *, seed: int, item: int, candidate: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the generator of one item: of a data set, or of a call that makes several sounds.

    Each of several candidates for an item has its own; the first has that of an only one.
    """
    further = ("candidate", candidate) if candidate else ()
    return torch.Generator(device).manual_seed(derive_seed(seed, "item", item, *further))


def batch_generator(
    *, seed: int, rank: int, epoch: int, batch: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the generator of one training step on one process.

    ``batch`` counts micro-batches, not optimizer steps: with gradient accumulation the step count
    stands still, and every micro-batch of a step would draw the same numbers.
    """
    keys = derive_seed(seed, "batch", rank, epoch, batch)
    return torch.Generator(device).manual_seed(keys)
