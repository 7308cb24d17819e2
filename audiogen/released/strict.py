"""Tensors of a published file against those that a model needs: every difference, at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from audiogen.model_folder.layout import CheckpointError


def check_tensors(
    given: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], *, source: Path, what: str
) -> None:
    """Compare names, shapes and kinds.

    Args:
        given: name -> tensor of the file.
        wanted: name -> shape of all that must be there.
        source: the file.
        what: the model, in words: "codec".

    Raises:
        CheckpointError: naming missing, unexpected and mis-shaped keys, and those that hold no
            floating point numbers.
    """
    shared = [name for name in wanted if name in given]
    wrong = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unexpected": sorted(given.keys() - wanted.keys()),
        "mis-shaped": [
            f"{name} {list(given[name].shape)} instead of {list(wanted[name])}"
            for name in shared
            if given[name].shape != wanted[name]
        ],
        "not floating point": [
            f"{name} {given[name].dtype}" for name in shared if not _is_plain_float(given[name])
        ],
    }
    _raise_if(wrong, source, what)


def check_finite(values: Mapping[str, Tensor], *, source: Path, what: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        CheckpointError: naming the tensors that hold such.
    """
    _raise_if({"not finite": [k for k, v in values.items() if not is_finite(v)]}, source, what)


def is_finite(value: Tensor) -> bool:
    """Look at the extremes, which NaN and infinity are among; no copy is made."""
    return value.numel() == 0 or all(bool(end.isfinite()) for end in value.aminmax())


def _raise_if(wrong: Mapping[str, Iterable[str]], source: Path, what: str) -> None:
    found = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in wrong.items() if keys)
    if found:
        raise CheckpointError(
            f"{source} does not fit the {what} that its configuration describes. {found}. "
            "Was one of them changed by hand, or are they of two models? Get both again"
        )


def _is_plain_float(value: Tensor) -> bool:
    return value.is_floating_point() and value.layout == torch.strided and not value.is_meta
