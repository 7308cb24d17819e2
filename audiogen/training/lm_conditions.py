"""What a training step hides of its captions: words, attributes, whole captions."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from audiogen.lm.guidance import drop_conditions
from audiogen.rng import batch_generator, derive_seed
from audiogen.text.captions import Caption, check_probability, drop_attributes, drop_words

REFERENCE_SEED = 1234  # of both generators of the reference, on every process and at every start


class ConditionDropout:
    """Hides words, attributes and whole captions, each item on its own.

    What is hidden is a function of (seed, rank, epoch, batch), so that a run that goes on hides
    what the undisturbed one would have hidden. Of captions and attributes, all processes draw for
    all items and use what belongs to theirs: dealt to more processes, the same items lose the same.

    Args:
        condition: chance that an item trains without its caption.
        attributes: attribute -> chance that an item trains without it.
        words: chance that a word of a description is left out.
        seed: of all three.
        paper_exact: hide a caption, or an attribute, in all items of a batch or in none, drawn
            from generators that all processes seed alike and that begin anew with the process.
    """

    def __init__(
        self,
        *,
        condition: float,
        attributes: Mapping[str, float],
        words: float,
        seed: int,
        paper_exact: bool = False,
    ) -> None:
        for chance in (condition, words, *attributes.values()):
            check_probability(chance)
        self.condition = condition
        self.attributes = dict(attributes)
        self.words = words
        self.seed = seed
        self.paper_exact = paper_exact
        self._of_captions = torch.Generator().manual_seed(REFERENCE_SEED)
        self._of_attributes = torch.Generator().manual_seed(REFERENCE_SEED)

    def __call__(
        self, captions: Sequence[Caption], *, rank: int, world_size: int, epoch: int, batch: int
    ) -> tuple[list[Caption], Tensor]:
        """Hide what this step hides of this process's share, every ``world_size``-th item.

        Returns:
            the captions with what is left of each; and bool [B] on the CPU, false for an item
            whose text must not be attended to at all.
        """
        at = partial(batch_generator, epoch=epoch, batch=batch)
        words = at(seed=derive_seed(self.seed, "words"), rank=rank)
        if self.paper_exact:
            return self._as_the_reference(captions, words)
        own = slice(rank, None, world_size)
        everyone: list[Caption] = [None] * (len(captions) * world_size)
        everyone[own] = drop_words(captions, probability=self.words, generator=words)
        generator = at(seed=derive_seed(self.seed, "attributes"), rank=0)
        kept = drop_attributes(everyone, probabilities=self.attributes, generator=generator)
        everywhere = torch.ones(len(everyone), 1, dtype=torch.bool)
        generator = at(seed=self.seed, rank=0)
        keep = drop_conditions(everywhere, probability=self.condition, generator=generator)
        return kept[own], keep[own, 0]

    def _as_the_reference(
        self, captions: Sequence[Caption], words: torch.Generator
    ) -> tuple[list[Caption], Tensor]:
        hidden = torch.rand(1, generator=self._of_captions).item() < self.condition
        kept = drop_attributes(
            [None] * len(captions) if hidden else list(captions),
            probabilities=self.attributes,
            generator=self._of_attributes,
            per_batch=True,
        )
        kept = drop_words(kept, probability=self.words, generator=words)
        # Nothing is masked: what is hidden is encoded as the caption that it then is.
        return kept, torch.ones(len(captions), dtype=torch.bool)


def other_captions(captions: Sequence[Caption]) -> list[Caption]:
    """Give every item the caption of another one, if possible one that differs.

    Items are rotated, by as many places as leave the fewest captions where they were: the pieces
    of one sound, which follow each other, share theirs.

    >>> other_captions(["rain", "rain", "dog", "dog"])
    ['dog', 'dog', 'rain', 'rain']
    """
    shifts = range(1, len(captions))
    rotated = [[*captions[-shift:], *captions[:-shift]] for shift in shifts]
    return max(rotated, key=lambda new: _differing(new, captions), default=list(captions))


def _differing(first: Sequence[Caption], second: Sequence[Caption]) -> int:
    return sum(one != other for one, other in zip(first, second, strict=True))
