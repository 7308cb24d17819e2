"""Features on disk, so that the same sound goes through the same network once.

An entry is named by the hash of everything that can change it: the sound's bytes, the steps that
prepare it, the network with its weights, and the code and libraries that run them. There is
nothing to invalidate: another input is another name. Entries are written under a name of their
own and then moved into place, so readers and other writers see whole ones only, and each carries
a checksum, so what a disk or a crash has damaged is noticed instead of scored. The time on a file
is when its entry was last used, which is what `evaluation.features.prune` goes by.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import soundfile
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from evaluation.features.prune import SUFFIX
from evaluation.settings import CACHE_FOLDER as DEFAULT_FOLDER

__all__ = ["DEFAULT_FOLDER", "DamagedError", "FeatureCache", "entry_key", "libraries"]

LAYOUT = "1"  # of entries and their names; raise it with any change of either
CHECKSUM = "checksum"  # the tensor that holds it
LEFT_BEHIND = 24 * 3600  # seconds after which an unfinished file has no writer any more
# Packages whose code is between a file and its features. One that is not installed counts too.
LIBRARIES = (
    "torch", "torchaudio", "torchvision", "numpy", "scipy", "soundfile",
    "julius", "soxr", "resampy", "transformers", "tokenizers", "hear21passt",
)  # fmt: skip


class DamagedError(ValueError):
    """An entry that is not what was written: which file, and what is wrong with it."""


class FeatureCache:
    """A folder of features by key; any number of processes may use it at once."""

    def __init__(self, folder: str | Path) -> None:
        """Make the folder if there is none.

        Raises:
            ValueError: if it cannot be a folder, or takes no files.
        """
        self.folder = Path(folder).expanduser()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"no cache in {folder}: {error.strerror}. Name a folder.") from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise ValueError(f"no cache in {folder}: the folder takes no files. Name another one.")
        self._clear_left_behind()

    def path(self, key: str) -> Path:
        """Return where the entry of a key is, or would be."""
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key; None if there are none.

        Raises:
            DamagedError: if the file is not what `put` wrote under this key.
        """
        path = self.path(key)
        try:
            tensors = load(path.read_bytes())
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise DamagedError(f"{path}: {error}") from error
        found = tensors.pop(CHECKSUM, None)
        if found is None or not torch.equal(found, _checksum(key, tensors)):
            raise DamagedError(f"{path}: its content does not have the checksum it came with")
        with suppress(OSError):  # pruned meanwhile, or somebody else's: it was read all the same
            os.utime(path)  # what is used stays longest
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Write an entry, at once or not at all.

        Args:
            key: from `entry_key`.
            tensors: float32, on the CPU.
            about: what the key was made of, for people who look into the file.
        """
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        content = {**tensors, CHECKSUM: _checksum(key, tensors)}
        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(save(content, {"about": json.dumps(about, sort_keys=True)}))
            Path(temporary).chmod(0o644)  # mkstemp makes it private
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _clear_left_behind(self) -> None:
        """Remove what writers that were killed left unfinished."""
        for path in self.folder.glob("*/.unfinished-*"):
            try:
                if path.stat().st_mtime < time.time() - LEFT_BEHIND:
                    path.unlink()
            except OSError:  # another process was first
                continue


def entry_key(fields: Mapping[str, Any]) -> str:
    """Hash what an entry is made of, with the libraries in between, to its name.

    Args:
        fields: JSON values; the order of keys does not matter.
    """
    content = {"layout": LAYOUT, "libraries": libraries(), **fields}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def libraries() -> dict[str, str]:
    """Return the versions of all packages that can change a feature."""
    versions = {name: _version(name) for name in LIBRARIES}
    return versions | {"libsndfile": soundfile.__libsndfile_version__}


def _checksum(key: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """Hash a key with the names, shapes and values of its tensors; uint8 [32]."""
    digest = hashlib.sha256(key.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
