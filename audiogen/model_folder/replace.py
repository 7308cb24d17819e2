"""Replace a whole folder at once: a killed process leaves the old one or the new one."""

import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audiogen.files import given_path

STALE = 24 * 3600  # seconds after which an unfinished copy is taken for the trace of a kill


@contextmanager
def replace_folder(target: Path, *, owned: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it takes the place of ``target``.

    Nothing of ``target`` is touched before the block ends, and on an error it stays as it was.
    A folder that is not empty cannot be renamed over, so two renames follow each other: the old
    folder steps aside, the new one takes its name. Killed between them, the old one lies at
    `aside`, from where `restore_folder` brings it back.

    Args:
        target: the folder to replace; it may not exist yet.
        owned: names that belong to the format: what the block does not write is gone. Any other
            entry of the old folder is carried over.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(target)
    _remove_stale(target)
    staging = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}")
    staging.mkdir()
    try:
        yield staging
        if target.exists():
            _carry_over(target, staging, owned)
        _flush(staging)
        _swap(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def restore_folder(target: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    target = target.resolve()
    with suppress(FileNotFoundError):  # a name that is too long to lie aside
        if not target.exists() and given_path(aside(target)).is_dir():
            aside(target).rename(target)


def aside(target: Path) -> Path:
    """Where the old folder lies for the moment between the two renames."""
    return target.with_name(f".{target.name}.old")


def _prefix(target: Path) -> str:
    return f".{target.name}.new-"


def _remove_stale(target: Path) -> None:
    for path in target.parent.glob(f"{_prefix(target)}*"):
        if time.time() - path.stat().st_mtime > STALE:
            shutil.rmtree(path, ignore_errors=True)


def _swap(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
        return
    shutil.rmtree(aside(target), ignore_errors=True)
    target.rename(aside(target))
    staging.rename(target)
    shutil.rmtree(aside(target), ignore_errors=True)


def _carry_over(old: Path, new: Path, owned: Collection[str]) -> None:
    for entry in old.iterdir():
        if entry.name in owned:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, new / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, new / entry.name, follow_symlinks=False)


def _flush(folder: Path) -> None:
    """Bring the bytes to the disk before the names, or a power cut leaves empty files."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
