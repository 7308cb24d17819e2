"""The command that writes the page of a run."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from audiogen.files import replacing
from recipes.command import exit_code

Render = Callable[[Namespace, str], str]


def page_command(
    parser: ArgumentParser, argv: list[str] | None, render: Render, *, maker: str
) -> int:
    """Render, write, print the path; return the exit code.

    Args:
        parser: with the words of its own; --run and --out are added.
        argv: None reads those of the process.
        render: gives the page for the words and the date.
        maker: what makes a run, said where there is none.
    """
    parser.add_argument("--run", type=Path, required=True, help=f"folder of a run of {maker}")
    parser.add_argument("--out", type=Path, default=None, help="default: RUN/report.html")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        print(f"error: {args.run} is not a folder; {maker} makes a run", file=sys.stderr)
        return 2
    out = args.out or args.run / "report.html"
    page = render(args, datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))
    try:
        with replacing(out) as path:
            path.write_text(page, encoding="utf-8")
    except OSError as error:
        return exit_code(error)
    print(out)
    return 0
