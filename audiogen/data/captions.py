"""What is said about an item: which of its captions, and what its labels add."""

from collections.abc import Mapping, Sequence

import torch

from audiogen.rng import item_generator

DESCRIPTION = "description"  # the attribute that a plain caption is
Caption = str | Mapping[str, str | None] | None


def pick_caption(
    captions: Sequence[str], *, seed: int, item: int, first: bool = False
) -> str | None:
    """Draw a caption by (seed, item), or take the first; None where there is none."""
    if len(captions) < 2 or first:
        return captions[0] if captions else None
    generator = item_generator(seed=seed, item=item)
    return captions[int(torch.randint(len(captions), (), generator=generator))]


def as_said(
    caption: str | None,
    labels: Mapping[str, str],
    *,
    attributes: Mapping[str, str],
    lower_case: bool,
) -> Caption:
    """Give a caption the form that an encoder reads.

    Args:
        caption: a description or None.
        labels: of the clip.
        attributes: attribute that an encoder reads -> label that it is; none leaves the caption
            alone as it is.
        lower_case: lowers the description.

    >>> as_said("A dog", {"class": "dog"}, attributes={"kind": "class"}, lower_case=True)
    {'description': 'a dog', 'kind': 'dog'}
    """
    if caption is not None and lower_case:
        caption = caption.lower()
    if not attributes:
        return caption
    return {DESCRIPTION: caption} | {name: labels.get(key) for name, key in attributes.items()}


def require_labels(labels: Sequence[Mapping[str, str]], attributes: Mapping[str, str]) -> None:
    """Refuse an attribute that nothing is labelled with.

    Raises:
        ValueError: naming the labels there are.
    """
    known = sorted({key for row in labels for key in row}) if attributes else []
    missing = [key for key in attributes.values() if key not in known]
    if missing or DESCRIPTION in attributes:
        raise ValueError(
            f"attributes name the label {(missing or [DESCRIPTION])[0]!r}, which no clip has or "
            f"which is the caption: choose from {', '.join(known) or 'none'}"
        )
