"""What is wrong with the options of a card, in the words of a card and not in Python's."""

import re
from collections.abc import Mapping
from typing import Any

MISSING = re.compile(r"missing \d+ required (?:keyword-only|positional) arguments?: (.*)")
NAME = re.compile(r"'(\w+)'")
UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


def problem(error: TypeError, options: Mapping[str, Any]) -> str:
    """Say what a call with a card's options found wrong.

    Args:
        error: what the call raised.
        options: what it was given.

    >>> def build(*, patch, hop): return patch / hop
    >>> for options in ({"hop": 1}, {"patch": 1, "hop": 1, "hopp": 2}, {"patch": "a", "hop": 1}):
    ...     try:
    ...         build(**options)
    ...     except TypeError as error:
    ...         print(problem(error, options))
    missing options: patch
    no option hopp
    a value of another kind than it takes, among patch: 'a', hop: 1
    """
    text = str(error)
    missing, unknown = MISSING.search(text), UNKNOWN.search(text)
    if missing is not None:
        return f"missing options: {', '.join(NAME.findall(missing[1]))}"
    if unknown is not None:
        return f"no option {unknown[1]}"
    given = ", ".join(f"{name}: {value!r}" for name, value in options.items())
    return f"a value of another kind than it takes, among {given}"
