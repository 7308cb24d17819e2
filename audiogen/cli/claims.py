"""Which sounds a process is making, so that another one on the same folder makes others."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from audiogen.cli.jobs import Job
from audiogen.files import is_alive, machine

PREFIX = ".making-"


class Claims:
    """Marks beside the sounds to come: a link named after the sound, to the name of a process.

    A mark puts a sound off and never leaves it out: what another process had marked is made at the
    end by whoever finds it missing. So nobody waits, and whatever becomes of a mark (a process that
    is killed, a file system without links, or one that lets two make the same) costs no more than a
    sound that is made twice, alike.

    Args:
        folder: of the sounds; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._owner = f"{machine()}-{os.getpid()}"
        self._taken: set[Path] = set()
        _remove_dead(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for mark in self._taken:
            _remove(mark)

    def take(self, job: Job) -> bool:
        """Mark a sound; false if another process has."""
        mark = _mark(job)
        try:
            mark.symlink_to(self._owner)
        except FileExistsError:
            return mark in self._taken
        except OSError:  # no links here, or no room: that is not for a hint to say
            return True
        self._taken.add(mark)
        return True

    def drop(self, job: Job) -> None:
        """Remove the mark of a sound that is there, whoever made it."""
        mark = _mark(job)
        _remove(mark)
        self._taken.discard(mark)


def _mark(job: Job) -> Path:
    """A name of its own length: that of the sound may be as long as the file system allows."""
    return job.path.with_name(PREFIX + hashlib.sha256(job.path.name.encode()).hexdigest()[:16])


def _remove_dead(folder: Path) -> None:
    """Remove the marks of killed processes of this machine."""
    with os.scandir(folder) as entries:
        marks = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    for mark in marks:
        with suppress(OSError):
            host, _, process = str(mark.readlink()).rpartition("-")
            if host == machine() and process.isdigit() and not is_alive(int(process)):
                mark.unlink()


def _remove(mark: Path) -> None:
    with suppress(OSError):
        mark.unlink()
