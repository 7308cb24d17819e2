"""The report of a demo run: python -m recipes.demo.report --run RUN --out RUN/report.html

One page that needs no other file and no network: tables, curves, pictures and sounds are inside.
What the run folder does not hold, the page names, with the reason as far as it is known.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes import on_track
from recipes.command import Parser
from recipes.demo.gates import outcomes_of
from recipes.demo.page.corpus import corpus_section
from recipes.demo.page.judged import codebooks_section, losses_section, scores_section
from recipes.demo.page.measured import metrics_section
from recipes.demo.page.players import players_section
from recipes.demo.page.timing import timing_section
from recipes.demo.page.training import codec_section, lm_section
from recipes.gates import verdict
from recipes.page.command import page_command
from recipes.page.inputs import RECORDINGS, Run
from recipes.page.render import attempt, fill

TEMPLATE = Path(__file__).with_name("page") / "page.html.j2"
CURVE = Path(__file__).with_name("curve.json")


def on_track_section(run: Run) -> dict[str, Any]:
    """Return the losses of the language model over those of the runs in README.md."""
    return on_track.section(run.folder, CURVE)


SECTIONS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "players": players_section,
    "scores": scores_section,
    "losses": losses_section,
    "codebooks": codebooks_section,
    "metrics": metrics_section,
    "codec": codec_section,
    "lm": lm_section,
    "on_track": on_track_section,
    "corpus": corpus_section,
    "timing": timing_section,
}
TITLES = {False: "AudioGen demo on synthetic sounds", True: "AudioGen demo on recordings"}


def render(run: Run, *, title: str | None, date: str) -> str:
    """Return the page; every text from the run folder is escaped."""
    outcomes = outcomes_of(run)
    recordings = run.sounds == RECORDINGS
    return fill(
        TEMPLATE,
        title=title or TITLES[recordings],
        date=date,
        recordings=recordings,
        folder=shlex.quote(str(run.folder)),
        quote=shlex.quote,
        outcomes=outcomes,
        verdict=verdict(outcomes),
        **{name: attempt(section, run) for name, section in SECTIONS.items()},
    )


def main(argv: list[str] | None = None) -> int:
    """Render, write, print the path; return the exit code."""
    parser = Parser(prog="recipes.demo.report", description=__doc__)
    parser.add_argument("--title", default=None, help="heading of the page")
    return page_command(
        parser,
        argv,
        lambda args, date: render(Run(folder=args.run), title=args.title, date=date),
        maker="`make demo`",
    )


if __name__ == "__main__":
    sys.exit(main())
