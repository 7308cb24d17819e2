"""Which of its captions an item has."""

from collections.abc import Sequence

import torch

from audiogen.rng import item_generator


def pick_caption(
    captions: Sequence[str], *, seed: int, item: int, first: bool = False
) -> str | None:
    """Draw a caption by (seed, item), or take the first; None where there is none."""
    if len(captions) < 2 or first:
        return captions[0] if captions else None
    generator = item_generator(seed=seed, item=item)
    return captions[int(torch.randint(len(captions), (), generator=generator))]
