"""What the commands of the recipes share: errors that are one line, and their exit codes."""

import argparse
import errno
import sys
from typing import NoReturn

CALLERS_MISTAKES = {
    None,
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}  # what another path or permission cures


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say on one line what was wrong and leave with exit code 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def exit_code(error: ValueError | OSError) -> int:
    """Say in one line on stderr what stopped a command, and return its exit code.

    Returns:
        2, or 1 for what the caller cannot put right with other words, such as a full disk.
    """
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2 if isinstance(error, ValueError) or error.errno in CALLERS_MISTAKES else 1
