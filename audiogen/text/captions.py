"""What a caption may be, and how training hides parts of it.

The randomness is passed in, so that what a step hides is a function of (seed, rank, epoch, batch).
"""

from collections.abc import Mapping, Sequence

import torch

Caption = str | None | Mapping[str, str | None]  # None and "" are none; a mapping is by attribute

DESCRIPTION = "description"  # the attribute that a caption given as a string is


def check_captions(captions: Sequence[Caption]) -> None:
    """Refuse a batch that is not a non-empty sequence of strings, None and attributes.

    Raises:
        ValueError: naming the index of the first item that is none of these.
    """
    if isinstance(captions, str | Mapping):
        kind = "string" if isinstance(captions, str) else "caption"
        shown = _shown(captions)
        raise ValueError(f"expected a list of captions, got one {kind}: {shown}; write [{shown}]")
    if not isinstance(captions, Sequence) or isinstance(captions, bytes):
        raise ValueError(
            f"expected a list of captions, got {type(captions).__name__}: {_shown(captions)}"
        )
    if not captions:
        raise ValueError("expected at least one caption, got none; pass [None] for no caption")
    for index, caption in enumerate(captions):
        if isinstance(caption, Mapping):
            _check_attributes(index, caption)
        elif caption is not None and not isinstance(caption, str):
            raise ValueError(
                f"caption {index} must be a string or None, got {type(caption).__name__}: "
                f"{_shown(caption)}"
            )


def attributes(caption: Caption) -> Mapping[str, str | None]:
    """Return a caption by attribute.

    >>> attributes("a dog"), attributes({"sound_class": "animal"})
    ({'description': 'a dog'}, {'sound_class': 'animal'})
    """
    return caption if isinstance(caption, Mapping) else {DESCRIPTION: caption}


def descriptions(captions: Sequence[Caption]) -> list[str]:
    """Return the texts of captions that have no attribute but the description; "" for none.

    Raises:
        ValueError: as `check_captions`, and for a caption with another attribute.
    """
    check_captions(captions)
    for index, caption in enumerate(captions):
        unread = [name for name, text in attributes(caption).items() if text]
        if unread and unread != [DESCRIPTION]:
            raise ValueError(
                f"caption {index} has the attributes {', '.join(unread)}, this text encoder reads "
                f"{DESCRIPTION!r} only: leave the others out, or take a model with a joined one"
            )
    return [attributes(caption).get(DESCRIPTION) or "" for caption in captions]


def drop_words(
    captions: Sequence[Caption], *, probability: float, generator: torch.Generator
) -> list[Caption]:
    """Leave out a random share of the words of every description, each word on its own.

    Words are what stands between single spaces, as in the reference. A caption whose words are
    all left out is "", no caption; other attributes are names, not sentences, and stay whole.

    Args:
        captions: B captions.
        probability: chance in [0, 1] that a word is left out; 0 draws nothing.
        generator: the source of randomness.
    """
    check_probability(probability)
    if probability == 0:
        return list(captions)
    texts = [attributes(caption).get(DESCRIPTION) for caption in captions]
    words = [text.split(" ") if text else [] for text in texts]
    draws = iter(_draws(sum(map(len, words)), generator))
    kept = [" ".join(word for word in row if next(draws) >= probability) for row in words]
    return [
        _with_description(caption, text) if row else caption
        for caption, row, text in zip(captions, words, kept, strict=True)
    ]


def drop_attributes(
    captions: Sequence[Caption],
    *,
    probabilities: Mapping[str, float],
    generator: torch.Generator,
    per_batch: bool = False,
) -> list[Caption]:
    """Hide attributes of captions, each on its own; a caption given as a string has one.

    Args:
        captions: B captions.
        probabilities: attribute -> chance in [0, 1] that an item trains without it; an attribute
            that is not named always stays.
        generator: the source of randomness; without a chance above 0 nothing is drawn.
        per_batch: hide an attribute in all items or none, as the reference does.

    Returns:
        B captions, those with something hidden as mappings without it.
    """
    for probability in probabilities.values():
        check_probability(probability)
    chances = {name: p for name, p in sorted(probabilities.items()) if p > 0}
    if not chances:
        return list(captions)
    rows = 1 if per_batch else len(captions)
    draws = iter(_draws(rows * len(chances), generator))
    hidden = [{name for name, p in chances.items() if next(draws) < p} for _ in range(rows)]
    hidden *= len(captions) // rows
    return [_without(caption, names) for caption, names in zip(captions, hidden, strict=True)]


def check_probability(probability: float) -> None:
    """Refuse what is not a chance in [0, 1]."""
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability is a chance in [0, 1], got {probability}")


def _check_attributes(index: int, caption: Mapping[str, str | None]) -> None:
    for name, text in caption.items():
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            raise ValueError(
                f"caption {index} must map attributes to strings or None, got "
                f"{_shown(name)}: {_shown(text)}"
            )


def _with_description(caption: Caption, text: str) -> Caption:
    return {**caption, DESCRIPTION: text} if isinstance(caption, Mapping) else text


def _without(caption: Caption, names: set[str]) -> Caption:
    kept = {name: text for name, text in attributes(caption).items() if name not in names}
    if isinstance(caption, Mapping):
        return kept
    return kept.get(DESCRIPTION)


def _draws(count: int, generator: torch.Generator) -> list[float]:
    """Draw numbers uniform in [0, 1)."""
    return torch.rand(count, generator=generator, device=generator.device).tolist()


def _shown(value: object, longest: int = 60) -> str:
    """Show a value in an error message, however long it is."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."
