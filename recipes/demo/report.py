"""The report of a demo run: python -m recipes.demo.report --run RUN --out RUN/report.html

One page that needs no other file and no network: tables, curves, pictures and sounds are inside.
What the run folder does not hold, the page names, with the reason as far as it is known.
"""

import base64
import hashlib
import logging
import shlex
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from audiogen.files import replacing
from recipes.command import Parser, exit_code
from recipes.demo.gates import FAILS, HOLDS, outcomes_of
from recipes.demo.page.corpus import corpus_section
from recipes.demo.page.curves import codec_section, lm_section
from recipes.demo.page.inputs import RECORDINGS, MissingInputError, Run, is_number
from recipes.demo.page.judged import codebooks_section, scores_section
from recipes.demo.page.measured import metrics_section
from recipes.demo.page.players import players_section
from recipes.demo.page.timing import timing_section

log = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("page")
SECTIONS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "players": players_section,
    "scores": scores_section,
    "codebooks": codebooks_section,
    "metrics": metrics_section,
    "codec": codec_section,
    "lm": lm_section,
    "corpus": corpus_section,
    "timing": timing_section,
}
TITLES = {False: "AudioGen demo on synthetic sounds", True: "AudioGen demo on recordings"}
NOTHING = "\N{EN DASH}"


def render(run: Run, *, title: str | None, date: str) -> str:
    """Return the page; every text from the run folder is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"share": share, "clock": clock, "gigabytes": gigabytes}
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    outcomes = outcomes_of(run)
    recordings = run.sounds == RECORDINGS
    return environment.get_template("page.html.j2").render(
        title=title or TITLES[recordings],
        date=date,
        recordings=recordings,
        folder=shlex.quote(str(run.folder)),
        quote=shlex.quote,
        outcomes=outcomes,
        verdict=verdict(outcomes),
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # Only this script runs, so that a text that slipped through unescaped could not.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **{name: attempt(section, run) for name, section in SECTIONS.items()},
    )


def attempt(section: Callable[[Run], dict[str, Any]], run: Run) -> dict[str, Any]:
    """Return a section, or {"missing": why it cannot be shown}."""
    try:
        return {"missing": None} | section(run)
    except MissingInputError as error:
        return {"missing": str(error)}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        # One damaged file must not cost the other sections.
        log.warning("%s: %r", section.__name__, error)
        what = str(error) if isinstance(error, ValueError) else repr(error)
        return {"missing": f"What is in the run folder cannot be shown: {what}"}


def verdict(outcomes: list[Any]) -> str:
    """Say how many of the binding gates hold."""
    states = [outcome.state for outcome in outcomes if outcome.binding]
    holding, failing = states.count(HOLDS), states.count(FAILS)
    rest = len(states) - holding - failing
    parts = [f"{holding} of {len(states)} hold", f"{failing} fail" if failing else ""]
    parts.append(f"{rest} not measured" if rest else "")
    return ", ".join(part for part in parts if part)


def share(value: float | None, digits: int = 2) -> str:
    """Write a number with fixed digits; a dash, never zero, for what was not measured."""
    return f"{value:.{digits}f}" if is_number(value) else NOTHING


def clock(seconds: float | None) -> str:
    """Write seconds as minutes and seconds."""
    if not is_number(seconds):
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def gigabytes(size: float | None) -> str:
    """Write bytes in units of 10^9."""
    return f"{size / 1e9:.2f} GB" if is_number(size) else NOTHING


def main(argv: list[str] | None = None) -> int:
    """Render, write, print the path; return the exit code."""
    parser = Parser(prog="recipes.demo.report", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the demo run")
    parser.add_argument("--title", default=None, help="heading of the page")
    parser.add_argument("--out", type=Path, default=None, help="default: RUN/report.html")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        print(f"error: {args.run} is not a folder; `make demo` makes a run", file=sys.stderr)
        return 2
    out = args.out or args.run / "report.html"
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    page = render(Run(folder=args.run), title=args.title, date=date)
    try:
        with replacing(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        return exit_code(error)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
