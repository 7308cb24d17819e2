"""Files of pretrained weights, read without running what is in them and refused by name."""

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor, nn

from evaluation.audio import file_sha256
from evaluation.weights.content import digest_path, noted_digest

N = TypeVar("N", bound=nn.Module)
AGAIN = "Fetch it again: `python -m evaluation fetch` says where from."
NUMBERS = (  # floats; and counts of batches, positions, masks
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.bool,
)  # fmt: skip
PLAIN: list[Any] = [  # numbers and arrays of numpy, which training scripts leave beside the weights
    np.ndarray,
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?", "U1")},
]
REBUILD: list[Any] = [
    (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
    for name in ("_reconstruct", "scalar")
    for core in ("core", "_core")
]


class WeightsError(ValueError):
    """A file of weights that cannot be used: which, what is wrong, what to do."""


def read_torch_file(path: Path, *, mapped: bool = False, stand_ins: Sequence[Any] = ()) -> Any:
    """Read a file of `torch.save`: tensors and plain values only, on the CPU.

    Args:
        path: the file.
        mapped: leave the tensors in the file until they are used, where its format allows that.
        stand_ins: (class, name) of what to make instead of everything that the file names beside
            tensors; empty builds numbers and arrays of numpy, and nothing else.

    Raises:
        WeightsError: if it is missing, another kind of file, cut short or damaged, or if it names
            anything that would have to be run.
    """
    begins = check_weight_file(path)
    if begins[:2] == b"PK":
        _check_sums(path)
    elif begins[:1] != b"\x80":  # how a pickle begins: torch before 1.6
        raise WeightsError(f"{path}: not a file of torch.save, it begins with {begins!r}. {AGAIN}")
    known = list(stand_ins) or [*PLAIN, *REBUILD]
    mapped = mapped and begins[:2] == b"PK"
    try:
        with torch.serialization.safe_globals(known), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old files; what is wrong with one is an error here
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = " ".join(str(error).split())
        named = re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", reason)
        if named is not None:
            raise WeightsError(
                f"{path}: unsafe: it wants {named[1]} to be called, and files of weights are read "
                "without running anything in them. Get it from its authors"
            ) from error
        reason = reason[:160] or type(error).__name__
        raise WeightsError(f"{path}: cut short, damaged or unsafe ({reason}). {AGAIN}") from error


def check_weight_file(path: Path) -> bytes:
    """Refuse what is no file of weights at all, and return its first 16 bytes.

    Raises:
        WeightsError: if it is missing, empty, a web page, or a pointer to a file kept elsewhere.
    """
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise WeightsError(f"{path}: {what}. {AGAIN}")
    with path.open("rb") as file:
        begins = file.read(512)
    if not begins:
        raise WeightsError(f"{path}: the file is empty (0 bytes). {AGAIN}")
    text = begins.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"{path}: a web page was saved instead of the weights. {AGAIN}")
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path}: a pointer of Git LFS, not the weights themselves. "
            "Run `git lfs pull` where it came from, or fetch the file itself."
        )
    return begins[:16]


def weights_sha256(path: Path) -> str:
    """Return the sha256 of a file of weights, which is the one noted when it was fetched, if any.

    Raises:
        WeightsError: if it is another one: some formats have no check sums of their own.
    """
    found, noted = file_sha256(path), noted_digest(path)
    if noted not in (None, found):
        raise WeightsError(
            f"{path}: its sha256 is {found}, and was {noted} when it was fetched. Delete it and "
            f"fetch it again; or, if you put another file there, delete {digest_path(path).name}"
        )
    return found


def empty_network(kind: Callable[[], N]) -> N:
    """Make a network whose numbers are still to be written, without drawing random ones."""
    with torch.device("meta"):
        network = kind()
    return network.to_empty(device="cpu").eval().requires_grad_(False)


def load_strict(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy a state into a network; every name and every shape must agree, every number be finite.

    Raises:
        WeightsError: listing what is missing, unexpected, of another shape, or not finite.
    """
    expected = network.state_dict()
    wrong = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": [
            f"{name} {list(state[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in state and state[name].shape != tensor.shape
        ],
        "of another kind of number": [
            f"{name} {state[name].dtype} instead of {tensor.dtype}"
            for name, tensor in expected.items()
            if name in state and state[name].is_floating_point() != tensor.is_floating_point()
        ],
        "not finite": [name for name, tensor in state.items() if not tensor.isfinite().all()],
    }
    texts = [f"{len(names)} {what} ({_shorten(names)})" for what, names in wrong.items() if names]
    if texts:
        raise WeightsError(
            f"{path}: not the weights of this network: {'; '.join(texts)}. "
            "Is it the file of another network or variant?"
        )
    network.load_state_dict(state)


def check_tensors(state: Any, path: Path) -> dict[str, Tensor]:
    """Return a state as a dict of tensors.

    Raises:
        WeightsError: if it is anything else.
    """
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(
            f"{path}: expected a state dict, got {type(state).__name__}. "
            "Is it the file of another network?"
        )
    wrong = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise WeightsError(
            f"{path}: expected tensors only, but {_shorten(wrong)} are not. "
            "Is it the file of another network?"
        )
    unnamed = [repr(name) for name in state if not isinstance(name, str)]
    if unnamed:
        raise WeightsError(
            f"{path}: expected tensors by name, got the keys {_shorten(unnamed)}. "
            "Is it the file of another network?"
        )
    odd = [f"{name} is {kind}" for name, value in state.items() if (kind := _odd_kind(value))]
    if odd:
        raise WeightsError(
            f"{path}: expected dense tensors of plain numbers, but {_shorten(odd)}. "
            "Is it a converted copy? Take the published file."
        )
    return dict(state)


def _odd_kind(tensor: Tensor) -> str | None:
    """Say what keeps a tensor from being copied into a network; None if nothing does."""
    if tensor.is_meta:
        return "on the device meta, without numbers"
    if tensor.is_quantized:
        return f"quantized ({tensor.dtype})"
    if tensor.layout is not torch.strided:
        return f"sparse ({tensor.layout})"
    if tensor.dtype not in NUMBERS:
        return f"of {tensor.dtype}"
    return None


def _check_sums(path: Path) -> None:
    """Compare the records of an archive with their check sums; torch.load does not."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile has no one error for damage
        raise WeightsError(f"{path}: cut short or damaged ({error}). {AGAIN}") from error
    if damaged is not None:
        raise WeightsError(f"{path}: damaged, its record {damaged} is not as written. {AGAIN}")


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
