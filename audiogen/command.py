"""What all commands share: wrong arguments are one line, and whose mistake an error is."""

import argparse
import errno
import re
from typing import Any, NoReturn

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

NEGATIVE = re.compile(r"-(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)$", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and to which -3e0 is a number too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._negative_number_matcher = NEGATIVE  # argparse's own knows no exponents

    def error(self, message: str) -> NoReturn:
        """Say on one line what was wrong and leave with exit code 2."""
        self.exit(2, f"error: {printable(message)}; see {self.prog} --help\n")


def filled(words: str) -> str:
    """Refuse what an unset variable of a shell leaves of an option's value."""
    if not words.strip():
        raise argparse.ArgumentTypeError("is empty: name one, or leave the option out")
    return words


def printable(text: str) -> str:
    r"""Escape what would move the cursor of a terminal or color it.

    >>> printable("a\x1b[31m dog")
    'a\\x1b[31m dog'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_callers_mistake(error: Exception) -> bool:
    """Tell what another word, path or permission cures, which is exit code 2, from the rest."""
    if isinstance(error, OSError):
        return error.errno in CALLERS_MISTAKES
    return isinstance(error, ValueError)
