"""Score generated sounds against references: python -m evaluation REFERENCE GENERATED.

The table on stderr; the whole report in the files of --json and --html, or without --json as JSON
on stdout, pairs left out, unless that is a terminal. Other commands: `compare` puts reports side by
side, or says why they cannot be compared; `explain` shows what each choice of a protocol does to
the scores; `card` prints a protocol; `fetch` gets the weights of the networks; `cache` shows what
kept features take up, and makes room.
"""

import argparse
import difflib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from evaluation.deliver import UnwrittenError
from evaluation.folders import printable

COMMANDS = {  # name -> module with add_arguments and run, and what it is for
    "cache": ("evaluation.features.command", "Show the cache of features, or make room in it."),
    "compare": ("evaluation.comparison.command", "Compare reports of the same references."),
    "explain": ("evaluation.explanation.command", "Score again with one choice changed at a time."),
    "card": ("evaluation.protocols.command", "Print a protocol card, or what sets two apart."),
    "fetch": ("evaluation.weights.command", "Get the weights of the networks."),
}
SCORE = ("evaluation.score_command", "Score generated sounds against references, paired by name.")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what was wrong on one line and leave with exit code 2."""
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(argv: list[str] | None = None) -> int:
    """Parse, do what the command does, print; return a process exit code."""
    argv = sys.argv[1:] if argv is None else argv
    _open_streams()
    try:
        out, said = _do(argv)
        if out:
            print(out, flush=True)
        if said:
            print(said, file=sys.stderr)
    except ValueError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `head`, say, has read enough; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ModuleNotFoundError, MemoryError) as error:
        print(_failure(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: stopped before the end; no report was written", file=sys.stderr)
        return 1
    return 0


def _failure(error: Exception) -> str:
    """Return the line of what failed, under what was found before it did."""
    text = printable(str(error))
    if isinstance(error, UnwrittenError):
        return f"{error.said}\nerror: {text}"
    if isinstance(error, MemoryError):
        return f"error: out of memory: {text}"
    return f"error: {type(error).__name__}: {text}"


def _open_streams() -> None:
    """Put an open end in the place of a stream that was closed by the caller, as by `>&-`.

    Else the first file that is opened would take its number, and with it what is printed.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _do(argv: list[str]) -> tuple[str, str]:
    """Run the command that the first word names, else score."""
    name = argv[0] if argv[:1] and argv[0] in COMMANDS else None
    if name is None and argv[:1]:
        _check_word(argv[0])
    module, title = SCORE if name is None else COMMANDS[name]
    command = import_module(module)
    parser = Parser(
        prog="python -m evaluation" + (f" {name}" if name else ""),
        description=title,
        epilog=command.epilog() if hasattr(command, "epilog") else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    args = parser.parse_args(argv[1:] if name else argv)
    if name == "fetch":  # it talks while it works
        return command.run(args, lambda line: print(line, file=sys.stderr)), ""
    result: tuple[str, str] = command.run(args)
    return result


def _check_word(word: str) -> None:
    """Refuse what is most likely a command misspelled.

    Raises:
        ValueError: naming the command that is meant.
    """
    near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.7)
    if near and not Path(word).exists():
        raise ValueError(f"no command and no folder {word!r}. Did you mean {near[0]}?")


if __name__ == "__main__":
    sys.exit(main())
