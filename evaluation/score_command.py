"""`python -m evaluation REFERENCE GENERATED`: its arguments, and what it prints and writes."""

import argparse
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation import __version__
from evaluation.arguments import add_cache, add_means, add_sources
from evaluation.catalog import METRICS
from evaluation.deliver import JSON_HELP, Writer, deliver
from evaluation.folders import printable
from evaluation.reports.files import check_distinct, check_writable, write_text
from evaluation.settings import DTYPES

if TYPE_CHECKING:
    from evaluation.reports.report import Report

FILES = ("json", "html", "markdown", "latex", "items")  # options that name a file to write
MOST_WORKERS = 4
PROTOCOL = (
    "card by name (see below) or path; %(default)s where none is named, not the card `default`"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_sources(parser)
    add("--labels", type=Path, metavar="FILE", help=".csv or .jsonl: name and class; scores each")
    add("--protocol", default="audiocraft", help=PROTOCOL)
    add("--metrics", nargs="+", metavar="KEY", help="default: all the card lists")
    _add_outputs(parser.add_argument_group("what is written"))
    _add_means(parser.add_argument_group("how it is computed"))
    _add_battery(parser.add_argument_group("sanity battery"))
    add("--version", action="version", version=f"evaluation {__version__}")


def epilog() -> str:
    """Return what --help says at its end: cards, metrics, other commands."""
    from evaluation.protocols.card import protocol_titles

    metrics = {key: info.label for key, info in METRICS.items()}
    lines = ["other commands: python -m evaluation compare a.json b.json ...;"]
    lines += ["  explain REFERENCE GENERATED; fetch; cache (what --cache takes up)"]
    for title, rows in (("cards", protocol_titles()), ("metrics", metrics)):
        lines += ["", f"{title}:", *(f"  {name:<24}{text}" for name, text in rows.items())]
    return "\n".join(lines)


def run(args: argparse.Namespace) -> tuple[str, str]:
    """Score, write the files that were asked for, and return what goes to stdout and stderr.

    Raises:
        ValueError: for sounds, tables, cards, weights or files that cannot be used.
    """
    files = {name: getattr(args, name) for name in FILES}
    check_distinct(files)
    for path in files.values():
        check_writable(path, inputs=(args.reference, args.generated, args.captions, args.labels))
    if args.html is not None and find_spec("jinja2") is None:
        raise ValueError("--html needs jinja2: pip install jinja2")

    from evaluation.suite import evaluate  # after parsing, so that --help stays quick

    given = {name: value for name, value in vars(args).items() if name not in (*FILES, "command")}
    report = evaluate(**given, date=datetime.now(UTC).isoformat(timespec="seconds"), progress=True)
    _check_values(report)
    sides = (("reference", args.reference), ("generated", args.generated))
    said = "\n".join([*(f"{side}: {printable(str(path))}" for side, path in sides), "",
                      report.to_text()])  # fmt: skip
    content = report.to_dict(items=False)
    return deliver(said, content, json_file=args.json, writers=_writers(report, files))


def _check_values(report: "Report") -> None:
    """Refuse a report without any number.

    Raises:
        ValueError: with the reasons.
    """
    if all(math.isnan(score.value) for score in report.scores.values()):
        reasons = "; ".join(f"{score.label}: {score.reason}" for score in report.scores.values())
        raise ValueError(f"no metric has a value, so nothing was written ({reasons})")


def _writers(report: "Report", files: Mapping[str, Path | None]) -> list[Writer]:
    return [
        (files["html"], report.to_html),
        (files["markdown"], lambda path: write_text(path, report.to_markdown())),
        (files["latex"], lambda path: write_text(path, report.to_latex())),
        (files["items"], report.to_csv),
        (files["json"], report.to_json),
    ]


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--name", metavar="NAME", help="of the system, in tables; default: its folder's")
    add("--json", type=Path, metavar="FILE", help=f"the whole report{JSON_HELP}, pairs left out")
    add("--html", type=Path, metavar="FILE", help="the report as one page, with clips to play")
    add("--markdown", type=Path, metavar="FILE", help="the scores as a row in Markdown")
    add("--latex", type=Path, metavar="FILE", help="the scores as a row for LaTeX with booktabs")
    add("--items", "--csv", type=Path, metavar="FILE", help="a line per pair, as CSV")


def _add_means(group: argparse._ArgumentGroup) -> None:
    add_means(group, workers=default_workers())
    add_cache(group, use="where features are kept for the next time", without="keep none")
    add = group.add_argument
    add(
        "--dtype",
        choices=DTYPES,
        help="of the networks' work; default: what the card says. bfloat16 is called a changed "
        "card; with random weights it moved FAD by 0.1 to 0.3 %%, KL by up to 0.7 %%, CLAP by 6e-4",
    )


def _add_battery(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--no-sanity", dest="sanity", action="store_false", help="do without it")
    add(
        "--round-trips",
        type=Path,
        metavar="FOLDER",
        help="the references after a codec, same names: what it can reach at best",
    )


def default_workers() -> int:
    """Return half of the cores this process may use, at most `MOST_WORKERS`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_WORKERS, (cores or 1) // 2)
