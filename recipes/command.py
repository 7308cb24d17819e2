"""What the commands of the recipes share: errors that are one line, and their exit codes."""

import sys

from audiogen.command import Parser, is_callers_mistake

__all__ = ["Parser", "exit_code"]


def exit_code(error: ValueError | OSError) -> int:
    """Say in one line on stderr what stopped a command, and return its exit code.

    Returns:
        2, or 1 for what the caller cannot put right with other words, such as a full disk.
    """
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2 if is_callers_mistake(error) else 1
