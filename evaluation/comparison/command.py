"""`python -m evaluation compare A B ...`: its arguments, and what it prints and writes."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.arguments import add_cache
from evaluation.deliver import JSON_HELP, Writer, deliver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("reports", type=Path, nargs="+", metavar="REPORT", help="two or more, written with --json")
    add(
        "--anyway",
        action="store_true",
        help="show reports that are not comparable, with every field that differs over the table",
    )
    add_cache(parser, use="features for joint resampling", without="do without them")
    add("--json", type=Path, metavar="FILE", help=f"write the comparison as JSON{JSON_HELP}")
    add("--markdown", type=Path, metavar="FILE", help="write the tables in Markdown")
    add("--latex", type=Path, metavar="FILE", help="write a table for LaTeX with booktabs")
    add("--html", type=Path, metavar="FILE", help="write one page")


def run(args: argparse.Namespace) -> tuple[str, str]:
    """Compare, write the files that were asked for, and return what goes to stdout and stderr.

    Raises:
        ValueError: for reports that cannot be read or compared, or a file that cannot be written.
    """
    from evaluation.comparison.compare import compare_reports
    from evaluation.comparison.latex import comparison_latex
    from evaluation.comparison.show import comparison_markdown, comparison_text
    from evaluation.reports.files import check_writable, json_text, write_text

    files = {name: getattr(args, name) for name in ("json", "markdown", "latex", "html")}
    for path in files.values():
        check_writable(path, inputs=args.reports)
    comparison = compare_reports(*args.reports, anyway=args.anyway, cache=args.cache)
    writers: list[Writer] = [
        (args.json, lambda path: write_text(path, json_text(comparison))),
        (args.markdown, lambda path: write_text(path, comparison_markdown(comparison))),
        (args.latex, lambda path: write_text(path, comparison_latex(comparison))),
        (args.html, lambda path: write_text(path, _page(comparison))),
    ]
    said = comparison_text(comparison)
    return deliver(said, comparison, json_file=args.json, writers=writers)


def _page(comparison: Mapping[str, Any]) -> str:
    from evaluation.comparison.page import comparison_page  # jinja2 is optional

    return comparison_page(comparison)
