"""Files that are either whole or not there, and paths as people give them."""

import errno
import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
LONGEST_SHOWN = 200  # characters of a path in a message


def given_path(source: str | Path) -> Path:
    """Return the path that someone named, with "~" expanded; nothing need be there.

    Raises:
        ValueError: if ``source`` is no path at all.
        FileNotFoundError: if it cannot even be looked for: a link to itself, the home of an unknown
            user, a name too long.
        PermissionError: if looking is not allowed.
    """
    if not isinstance(source, str | os.PathLike) or isinstance(os.fspath(source), bytes):
        raise ValueError(f"expected a path as text, got {source!r}: give a str or a Path")
    try:
        path = Path(source).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except PermissionError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileNotFoundError(
            f"there can be nothing at {str(source)[:LONGEST_SHOWN]!r} ({reason}): correct the "
            "path, or give another one"
        ) from error
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there on success, remove it on an error.

    The temporary name is hidden, keeps the suffix, and does not contain the final name, which
    may already be as long as the file system allows. Missing parent folders are made.

    Raises:
        OSError: that names ``path`` if the disk is full, whatever came of that; see `full_disk`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_prefix()}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        full = full_disk(error)
        if full is None:
            raise
        raise OSError(full.errno, full.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def full_disk(error: BaseException) -> OSError | None:
    """Return the error of a full disk (or quota) that ``error`` is or followed from, if one is.

    `torch.save` hides it behind a RuntimeError: at its end it misses the bytes that were lost.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in FULL:
            return link
        link = link.__cause__ or link.__context__
    return None


def file_hash(path: Path) -> str:
    """Hash what a file holds, sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: str | Path) -> None:
    """Delete what killed processes of this machine left half-written in ``folder``."""
    for path in Path(folder).glob(f"{_prefix()}*"):
        pid = path.name.removeprefix(_prefix()).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            path.unlink(missing_ok=True)


def _prefix() -> str:
    # The machine is part of the name: a process number says nothing about another machine's.
    return f".writing-{machine()}-"


def machine() -> str:
    """Return the name of this machine, as it fits into a file name."""
    return "".join(c for c in socket.gethostname() if c.isalnum())[:32]


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there, by its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
