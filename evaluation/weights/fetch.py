"""Fetch one file of weights: resumed after a cut, checked, and in place whole or not at all."""

import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from evaluation.reports.files import write_text
from evaluation.weights.content import digest_path, first_bytes, noted_digest, odd_kind
from evaluation.weights.files import WeightFile
from evaluation.weights.http import NO_PAGE, FetchError, Source, check_space, download
from evaluation.weights.part import forget

__all__ = ["FetchError", "Fetched", "Source", "copy", "fetch", "mirror_url"]

PART = ".part"  # behind the name of a file that is not whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A file that is in place."""

    path: Path
    sha256: str
    size: int  # bytes
    checked: bool  # whether the sha256, or its leading digits, are published and agree
    new: bool  # false if it was there before


def fetch(entry: WeightFile, folder: Path, source: Source) -> Fetched:
    """Put a file into the weights folder.

    What was received of it stays beside its place as a ``.part`` if the connection or the process
    dies, and the next call goes on from there, if the server still has the same file. Two calls at
    once do not disturb each other: the second one waits.

    Raises:
        FetchError: if the server does not have it or cannot be reached, the disk is full, or what
            came is a web page or not the published file; nothing is left in the file's place then.
    """
    path = folder / entry.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path):
        if path.is_file():
            return _finished(entry, path, path, new=False)
        part = path.with_name(path.name + PART)
        download(part, source, name=entry.file)
        return _finished(entry, _unpacked(entry, part), path, new=True)


def copy(entry: WeightFile, folder: Path, offline: Path) -> Fetched:
    """Put a file into the weights folder from another folder, without a network.

    Raises:
        FetchError: as `fetch`; or if it is not there, under its path or its bare name.
    """
    path = folder / entry.file
    names = [entry.file, Path(entry.file).name]
    if entry.packed and entry.url is not None:
        names.append(entry.url.rpartition("/")[2])
    places = [offline / name for name in names]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FetchError(
            f"{offline} has no {entry.file}: copy it there, or leave out --from",
            cause=f"not in {offline}: copy it there, or leave out --from",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path):
        if path.is_file():
            return _finished(entry, path, path, new=False)
        part = path.with_name(path.name + ".copy")
        try:
            check_space(folder, found.stat().st_size, entry.file)
            shutil.copyfile(found, part)
            return _finished(entry, _unpacked(entry, part), path, new=True)
        except OSError:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a place; its file goes with the last word of whoever held it.

    It is removed while it is held: who waited for it finds it without a name, and opens a new one.
    """
    name = path.with_name(f".{path.name}.lock")
    with FileLock(name):
        try:
            yield
        finally:
            name.unlink(missing_ok=True)


def mirror_url(entry: WeightFile, mirror: str) -> str:
    """Return the address of a file under another base address.

    Raises:
        ValueError: if that is not an http address.
    """
    if not mirror.startswith(("http://", "https://")):
        raise ValueError(f"a mirror is an address that begins with http, got {mirror!r}")
    return f"{mirror.rstrip('/')}/{quote(entry.file)}"


def _finished(entry: WeightFile, part: Path, path: Path, *, new: bool) -> Fetched:
    """Check a whole file, and put it in its place."""
    digest, noted = _sha256(part), None if new else noted_digest(path)
    wrong = _wrong(entry, part, digest=digest, noted=noted)
    if wrong is not None:
        if new:
            forget(part)
        cause = f"{wrong}. {'It was thrown away' if new else 'Delete it and fetch it again'}."
        raise FetchError(f"{path} is not {entry.file}: {cause}", cause=cause)
    if new:
        os.replace(part, path)  # noqa: PTH105 - Path.replace is the same; atomic on one disk
        forget(part)
    if noted != digest:
        with suppress(OSError):  # the file itself is in place, and the digest is printed as well
            write_text(digest_path(path), f"{digest}  {path.name}\n")
    return Fetched(
        path=path,
        sha256=digest,
        size=path.stat().st_size,
        checked=(entry.sha256 or entry.sha256_prefix) is not None,
        new=new,
    )


def _wrong(entry: WeightFile, file: Path, *, digest: str, noted: str | None) -> str | None:
    """Say why a whole file is not what it should be; None if nothing speaks against it."""
    size, expected = file.stat().st_size, entry.sha256 or entry.sha256_prefix
    if size == 0:
        return "it is empty"
    kind = odd_kind(first_bytes(file))
    if kind == "a web page":
        return NO_PAGE
    if kind is not None and not (kind == "a JSON text" and entry.file.endswith(".json")):
        return f"{kind} came instead of it"
    if entry.size is not None and size != entry.size:
        return f"it has {size} bytes, the published file {entry.size}"
    if expected is not None and not digest.startswith(expected):
        more = "" if entry.sha256 else "..."
        return f"its sha256 is {digest}, the published one is {expected}{more}"
    if expected is None and noted not in (None, digest):
        return f"its sha256 is {digest}, and was {noted} when it was fetched"
    return None


def _unpacked(entry: WeightFile, part: Path) -> Path:
    """Unpack a whole file that came packed, and return where it is; another one stays as it is."""
    if not entry.packed or first_bytes(part)[:2] != b"\x1f\x8b":
        return part
    bare = part.with_name(part.name + ".bare")
    try:
        with gzip.open(part) as packed, bare.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        bare.unlink()
        forget(part)
        raise FetchError(
            f"{entry.file}: what came cannot be unpacked ({error}). It was thrown away."
        ) from error
    forget(part)
    return bare


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
