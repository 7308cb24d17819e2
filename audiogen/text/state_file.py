"""Text states on disk: one SQLite file, shared by processes.

Why SQLite: one file for millions of captions instead of one per caption; a write is there whole or
not at all, whoever is killed; processes take turns by its locks; it is part of Python; and nothing
but what is asked for is ever in memory. The rollback journal is used, not the write-ahead log,
which needs all processes on one machine. A file system whose locks do not work is the one thing it
cannot stand: there, give every machine a folder of its own.
"""

import logging
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

logger = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds to wait for another process to finish writing
MOST_AT_ONCE = 500  # keys of one question; SQLite's oldest limit is 999
TABLE = """
    CREATE TABLE IF NOT EXISTS states (
        key BLOB PRIMARY KEY,  -- sha256 of the caption
        dtype TEXT NOT NULL,
        width INTEGER NOT NULL,
        checksum INTEGER NOT NULL,  -- CRC-32 of the other columns
        data BLOB NOT NULL  -- little-endian, [L, width]
    )
"""
DTYPES: dict[str, np.dtype] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
LARGEST = float(np.finfo(np.float16).max)


class StateFile:
    """States by key, in a file that is opened for each call: nothing to pickle, fork or close.

    A file that cannot be read or written costs the time it would have saved, not the run: what is
    damaged is missing, with a warning, and after a failure of another kind (locks that are never
    given, a full disk, a folder that may only be read) no other read or write is tried.

    Args:
        path: of the file; made with its folder when something is written.
        dtype: "float32" keeps every bit; "float16" halves the file. States that float16 cannot
            hold are kept in float32.
    """

    def __init__(self, path: Path, *, dtype: str) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        self.path = path
        self.dtype = dtype
        self._readable = self._writable = True

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """Return those of the states that are there and sound, float32 [L, D]."""
        if not self._readable:
            return {}
        try:
            if not self.path.is_file():
                return {}
            rows = list(self._rows(keys))
        except (sqlite3.Error, OSError) as error:
            if _is_damage(error):
                self._put_aside(error)
            elif _code(error) != sqlite3.SQLITE_ERROR and _may_be_there(self.path):
                self._readable = False
                logger.warning("text states cannot be read from %s: %s", self.path, error)
            return {}  # also where there is no table yet: who made the file writes, or died
        found = {row[0]: _decoded(*row) for row in rows}
        damaged = sum(states is None for states in found.values())
        if damaged:
            logger.warning("%s: %d text state(s) damaged: computed again", self.path, damaged)
        return {key: states for key, states in found.items() if states is not None}

    def write(self, states: Mapping[bytes, Tensor]) -> None:
        """Store float [L, D] by key, all or none, in place of what was damaged there."""
        if not states or not self._writable:
            return
        rows = [_encoded(key, value, self.dtype) for key, value in states.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened(create=True) as database, database:
                database.execute(TABLE)
                database.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            if _is_damage(error):
                self._put_aside(error)
            else:
                self._writable = False
                logger.warning(
                    "text states cannot be written to %s (%s): those that are not there are "
                    "computed again in every step",
                    *(self.path, error),
                )

    def rounded(self, states: Tensor) -> Tensor:
        """Return float [L, D] as it will be read."""
        return _array(states, self.dtype).to(torch.float32)

    def count(self) -> int:
        """Return how many states there are."""
        with self._opened() as database:
            return int(database.execute("SELECT COUNT(*) FROM states").fetchone()[0])

    def _rows(self, keys: Sequence[bytes]) -> Iterator[tuple]:
        with self._opened() as database:
            for start in range(0, len(keys), MOST_AT_ONCE):
                some = keys[start : start + MOST_AT_ONCE]
                marks = ", ".join("?" * len(some))
                yield from database.execute(f"SELECT * FROM states WHERE key IN ({marks})", some)

    @contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        address = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as database:
            yield database

    def _put_aside(self, error: Exception) -> None:
        """Rename a file that is no sound database, so that a new one can take its place.

        A file that another process has put there since is most likely sound; it costs its states.
        """
        logger.warning("%s is damaged (%s): its text states are computed again", self.path, error)
        with suppress(OSError):  # another process has done it, or nobody may
            self.path.replace(self.path.with_suffix(".damaged"))
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)


def _may_be_there(path: Path) -> bool:
    """Say whether there is such a file; True where looking is not allowed."""
    try:
        return path.is_file()
    except OSError:
        return True


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF


def _is_damage(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _array(states: Tensor, dtype: str) -> Tensor:
    """Bring float [L, D] to the CPU in ``dtype``, or in float32 if that cannot hold it."""
    states = states.detach().cpu().float()
    if dtype == "float16" and bool((states.abs() <= LARGEST).all()):
        return states.half()
    return states


def _encoded(key: bytes, states: Tensor, dtype: str) -> tuple:
    array = _array(states, dtype)
    name, width = str(array.dtype).removeprefix("torch."), array.shape[1]
    data = array.numpy().astype(DTYPES[name]).tobytes()
    return key, name, width, _checksum(key, name, width, data), data


def _decoded(key: bytes, dtype: Any, width: Any, checksum: Any, data: Any) -> Tensor | None:
    """Return float32 [L, D]; None if a bit of it is not as it was written."""
    try:
        if _checksum(key, dtype, width, data) == checksum:
            array = np.frombuffer(data, DTYPES[dtype]).astype(np.float32)
            return torch.from_numpy(array).view(-1, width)
    except (TypeError, ValueError, KeyError):  # a column is of another kind
        pass
    return None


def _checksum(key: bytes, dtype: str, width: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(b"%s %s %d" % (key, dtype.encode(), width)))
