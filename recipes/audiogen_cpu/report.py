"""The report of a run: python -m recipes.audiogen_cpu.report --run RUN

One page that needs no other file and no network: does the model use its captions, is the training
on its way, and what does it sound like. What the run folder does not hold, the page names.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recipes import on_track
from recipes.audiogen_cpu.gates import REQUIRED, STAGES, outcomes_of
from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED
from recipes.command import Parser
from recipes.demo.page.players import players_section
from recipes.demo.page.training import lm_section
from recipes.gates import verdict
from recipes.page.command import page_command
from recipes.page.curves import Line, chart
from recipes.page.inputs import MissingInputError, Run
from recipes.page.render import attempt, fill
from recipes.page.timing import time_table

TEMPLATE = Path(__file__).with_name("page") / "page.html.j2"
WORDS = {NONE: "no caption", SHUFFLED: "captions of others"}
SPLITS = {"train": "training (crops)", "valid": "validation", "test": "test"}
AVERAGED = 5  # frames per point of the curve over time


def _gates(run: Run) -> dict[str, Any]:
    outcomes = outcomes_of(run)
    return {"outcomes": outcomes, "verdict": verdict(outcomes)}


def _captions(run: Run) -> dict[str, Any]:
    """What the codes of the test clips cost, in sum, per codebook, per class and over time."""
    found = run.json("judged/test.json", stage="judge")
    return {
        "test": found,
        "even": math.log(found["codebook_size"]),
        "words": WORDS,
        "rows": [(title, _judged(run, name)) for name, title in SPLITS.items()],
        "groups": sorted(found["groups"], key=lambda row: -row["gains"][SHUFFLED]),
        "own": OWN,
        "charts": [drawn for drawn in [_over_time(found)] if drawn],
    }


def _judged(run: Run, split: str) -> dict[str, Any] | None:
    try:
        return run.json(f"judged/{split}.json", stage="judge")
    except MissingInputError:
        return None


def _over_time(found: Mapping[str, Any]) -> Any:
    """Draw what the caption is worth over the time that the model has heard already."""
    lines = []
    for color, (name, words) in enumerate(WORDS.items()):
        values = [value for value in found["frames"][name] if value is not None]
        starts = range(0, len(values), AVERAGED)
        pieces = [values[i : i + AVERAGED] for i in starts]
        times = [
            (i + len(p) / 2) / found["frame_rate"] for i, p in zip(starts, pieces, strict=True)
        ]
        means = [sum(piece) / len(piece) for piece in pieces]
        lines.append(Line(name=words, x=times, y=means, color=color))
    note = "Means over clips, codebooks and a tenth of a second; above zero the caption helps."
    return chart(
        "what the caption is worth over time", lines, "nats per code",
        x_label="seconds from the beginning of a row", note=note,
    )  # fmt: skip


def _timing(run: Run) -> dict[str, Any]:
    return time_table(run, STAGES, REQUIRED)


def _on_track(run: Run) -> dict[str, Any]:
    return on_track.section(run.folder)


SECTIONS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "gates": _gates,
    "captions": _captions,
    "on_track": _on_track,
    "players": players_section,
    "lm": lm_section,
    "timing": _timing,
}


def render(run: Run, *, date: str) -> str:
    """Return the page; every text from the run folder is escaped."""
    return fill(
        TEMPLATE,
        title="A language model on recordings",
        date=date,
        folder=shlex.quote(str(run.folder)),
        recordings=True,
        **{name: attempt(section, run) for name, section in SECTIONS.items()},
    )


def main(argv: list[str] | None = None) -> int:
    """Render, write, print the path; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiogen_cpu.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return page_command(
        parser, argv, lambda args, date: render(Run(folder=args.run), date=date), maker="run.sh"
    )


if __name__ == "__main__":
    sys.exit(main())
