"""Files that are either whole or not there, and paths as people give them."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_prefix()}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | Path) -> None:
    """Delete what killed processes of this machine left half-written in ``folder``."""
    for path in Path(folder).glob(f"{_prefix()}*"):
        pid = path.name.removeprefix(_prefix()).partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _prefix() -> str:
    # The machine is part of the name: a process number says nothing about another machine's.
    host = "".join(c for c in socket.gethostname() if c.isalnum())[:32]
    return f".writing-{host}-"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
