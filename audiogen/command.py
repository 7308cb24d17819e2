"""What all commands share: wrong arguments are one line, and whose mistake an error is."""

import argparse
import errno
from typing import NoReturn

# What a caller can put right by another path or another permission; a full disk is not among them.
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
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say on one line what was wrong and leave with exit code 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def is_callers_mistake(error: Exception) -> bool:
    """Tell what another word, path or permission cures, which is exit code 2, from the rest."""
    if isinstance(error, OSError):
        return error.errno in CALLERS_MISTAKES
    return isinstance(error, ValueError)
