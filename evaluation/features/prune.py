"""What a cache of features takes up, and making room in it. No heavy imports.

An entry is a file that is whole or not there, and whoever misses one computes it again: removing
one under a running process costs that process time and nothing else. What was read or written
lately has a late time on its file. Files that are not named like entries are left alone, and so are
links and what lies behind them.
"""

import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".safetensors"
NAME = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}")  # of an entry: its key
DAY = 24 * 3600  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry as it was seen."""

    path: Path
    size: int  # bytes
    used: int  # nanoseconds since 1970: when it was last written or read


def list_entries(folder: Path) -> list[Entry]:
    """Return the entries of a cache, the least recently used first; none without a folder."""
    found = []
    for path in folder.glob(f"??/*{SUFFIX}"):
        if not NAME.fullmatch(path.name) or path.parent.name != path.name[:2]:
            continue
        if path.parent.is_symlink():
            continue
        entry = _look(path)
        if entry is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def choose_entries(
    entries: Iterable[Entry], *, days: float | None = None, limit: int | None = None
) -> list[Entry]:
    """Return the entries that must go, the least recently used first.

    Args:
        entries: in that order.
        days: what was not used for as long goes; None is for ever.
        limit: bytes that may stay; None is any number.
    """
    entries = list(entries)
    stays = sum(entry.size for entry in entries)
    before = -1 if days is None else time.time_ns() - round(days * DAY * 1e9)
    chosen = []
    for entry in entries:
        if entry.used > before and (limit is None or stays <= limit):
            break
        chosen.append(entry)
        stays -= entry.size
    return chosen


def remove_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Remove entries but those that were used since they were listed; return what was removed.

    Raises:
        OSError: if the folder lets nobody remove them.
    """
    removed = []
    for entry in entries:
        if _look(entry.path) != entry:  # used meanwhile, or gone
            continue
        try:
            entry.path.unlink()
        except FileNotFoundError:  # another process was first
            continue
        removed.append(entry)
    return removed


def _look(path: Path) -> Entry | None:
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path=path, size=status.st_size, used=status.st_mtime_ns)
