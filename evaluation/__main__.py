"""Score generated sounds against references: python -m evaluation REFERENCE GENERATED.

The table on stderr; the whole report in the files of --json and --html, or without --json as JSON
on stdout, pairs left out. `python -m evaluation compare a.json b.json`
puts two reports side by side, or says why they cannot be compared.
"""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from evaluation import __version__
from evaluation.catalog import METRICS
from evaluation.weights import DEFAULT_FOLDER


class UsageError(ValueError):
    """Arguments that make no sense together."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what was wrong on one line and leave with exit code 2."""
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(argv: list[str] | None = None) -> int:
    """Parse, evaluate or compare, print; return a process exit code."""
    argv = sys.argv[1:] if argv is None else argv
    command = _compare if argv[:1] == ["compare"] else _evaluate
    try:
        command(argv)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `head`, say, has read enough; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ModuleNotFoundError) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: stopped before the end, nothing was written", file=sys.stderr)
        return 1
    return 0


def _evaluate(argv: list[str]) -> None:
    args = _parser().parse_args(argv)
    for path in (args.json, args.html):
        if path is not None:
            _check_writable(path)
    if args.html is not None and find_spec("jinja2") is None:
        raise UsageError("--html needs jinja2: pip install jinja2")

    from evaluation.suite import evaluate  # after parsing, so that --help stays quick

    report = evaluate(
        args.reference,
        args.generated,
        captions=args.captions,
        protocol=args.protocol,
        metrics=args.metrics,
        weights=args.weights,
        labels=args.labels,
        allow_extra=args.allow_extra,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        progress=True,
    )
    if args.html is not None:
        report.to_html(args.html)
    if args.json is not None:
        report.to_json(args.json)
    else:
        print(json.dumps(report.to_dict(items=False), indent=1, allow_nan=False), flush=True)
    print(report.to_text(), file=sys.stderr)


def _check_writable(path: Path) -> None:
    """Refuse before the work what could only fail after it."""
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: folder {folder} does not exist")
    if path.is_dir() or not os.access(folder, os.W_OK):
        what = "it is a folder" if path.is_dir() else f"folder {folder} takes no files"
        raise UsageError(f"cannot write {path}: {what}")


def _compare(argv: list[str]) -> None:
    parser = Parser(prog="python -m evaluation compare", description="Compare two reports.")
    parser.add_argument("a", type=Path, help="a report, written with --json")
    parser.add_argument("b", type=Path, help="another report of the same references and protocol")
    args = parser.parse_args(argv[1:])

    from evaluation.compare import compare_reports, comparison_text

    comparison = compare_reports(args.a, args.b)
    print(json.dumps(comparison, indent=1, allow_nan=False), flush=True)
    print(comparison_text(comparison), file=sys.stderr)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m evaluation",
        description="Score generated sounds against references, paired by file name. "
        "The table goes to stderr, the report as JSON to the file of --json or else to stdout.",
        epilog="To compare two reports: python -m evaluation compare a.json b.json. Metrics: "
        + "; ".join(f"{key}: {info.label}" for key, info in METRICS.items()),
    )
    add = parser.add_argument
    add("reference", type=Path, help="folder of reference sounds (wav, flac, ogg, mp3)")
    add("generated", type=Path, help="folder of generated sounds, same names")
    add("--captions", type=Path, metavar="FILE", help=".csv or .jsonl: name and caption")
    add("--labels", type=Path, metavar="FILE", help=".csv or .jsonl: name and class; scores each")
    add("--protocol", default="audiocraft", help="card by name (audiocraft, codec, demo) or path")
    add("--metrics", nargs="+", metavar="KEY", help="default: all the card lists")
    add("--json", type=Path, metavar="FILE", help="write the whole report, pairs included")
    add("--html", type=Path, metavar="FILE", help="write the report as one page")
    add("--weights", type=Path, metavar="FOLDER", help=f"networks; default {DEFAULT_FOLDER}")
    add("--allow-extra", action="store_true", help="ignore generated files without a reference")
    add("--version", action="version", version=f"evaluation {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
