"""What a command leaves behind: files, JSON on stdout for programs, a table for people."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

JSON_HELP = "; without it JSON goes to stdout, unless that is a terminal"
Writer = tuple[Path | None, Callable[[Path], object]]  # a file that was asked for, what writes it


class UnwrittenError(OSError):
    """Files that could not be written at the end of the work; what was found is in `said`."""

    def __init__(self, message: str, *, said: str) -> None:
        super().__init__(message)
        self.said = said


def deliver(
    said: str, content: Mapping[str, Any], *, json_file: Path | None, writers: Iterable[Writer]
) -> tuple[str, str]:
    """Write the files that were asked for, and return what goes to stdout and stderr.

    Args:
        said: for people.
        content: JSON values, for stdout where no file has them and no person reads it.
        json_file: the file that has them, written by one of the writers; None for none.
        writers: every file with what writes it.

    Raises:
        UnwrittenError: if files could not be written, named; the others are there.
    """
    failed = []
    for path, write in writers:
        try:
            if path is not None:
                write(path)
        except OSError as error:
            failed.append(f"cannot write {path}: {error.strerror or error}")
    if failed:
        raise UnwrittenError("; ".join(failed), said=said)
    if json_file is not None or sys.stdout.isatty():
        return "", said
    return json.dumps(content, indent=1, allow_nan=False), said
