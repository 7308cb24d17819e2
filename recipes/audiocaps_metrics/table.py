"""A run's scores beside published ones: python -m recipes.audiocaps_metrics.table --run RUN

Grouped by protocol: a score stands only among those of its own tool and its own settings, with N
beside it, and what keeps it from standing beside a published one (random weights, other sounds
than AudioCaps) under it. Tables that this run has a score in
on stdout; all of them in RUN/table.txt, RUN/table.md and RUN/report.html.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from audiogen.files import replacing
from evaluation.catalog import METRICS
from evaluation.scorers.score import Score
from recipes.audiocaps_metrics.own import Own, facts, read_own, scale
from recipes.audiocaps_metrics.published import Block, read_published
from recipes.audiocaps_metrics.table_text import NOTHING, Line, Table, as_markdown, as_text
from recipes.command import Parser, exit_code
from recipes.page.inputs import Run
from recipes.page.render import fill

TEMPLATE = Path(__file__).with_name("page") / "page.html.j2"
STAND_IN = "(stand-in)"
UNPUBLISHED = "not published"
NO_ROWS = "Nothing published was made in this way: these scores stand alone."


def tables(own: Sequence[Own], blocks: Sequence[Block]) -> list[Table]:
    """Return a table per block: those with own scores first, in the order given.

    Own scores under a card of which nothing is published get a table of their own, and so do those
    under a card that is not quite what its name says.
    """
    published = [
        _published(block, [o for o in own if o.card in block.protocols]) for block in blocks
    ]
    claimed = {name for block in blocks for name in block.protocols}
    alone = [_alone(o) for o in own if o.card not in claimed]
    with_own = [table for table in published if table.protocol]
    return with_own + alone + [table for table in published if not table.protocol]


def _published(block: Block, own: Sequence[Own]) -> Table:
    lines = [
        Line(
            model=row.model,
            n=row.n or UNPUBLISHED,
            cells=tuple(value or NOTHING for value in row.values),
            own=False,
        )
        for row in block.rows
    ]
    return Table(
        title=block.title,
        about=block.about,
        source=block.source,
        protocol=own[0].protocol if own else None,
        heading=("model", "N", *(f"{t} {_arrow(key)}" for t, key in block.columns.items())),
        lines=(*(_own_line(o, list(block.columns.values())) for o in own), *lines),
    )


def _alone(own: Own) -> Table:
    keys = list(own.report.scores)
    return Table(
        title=f"card {own.protocol}",
        about=str(own.report.protocol["description"]),
        source=NO_ROWS,
        protocol=own.protocol,
        heading=("model", "N", *(f"{_label(key)} {_arrow(key)}" for key in keys)),
        lines=(_own_line(own, keys),),
    )


def _own_line(own: Own, keys: Sequence[str]) -> Line:
    scores = [own.value(key) for key in keys]
    notes = [*own.marks, *own.departures]
    if any(score is not None and score.details.get("stand_in") for score in scores):
        notes.append("stand-in: networks with random weights")
    for key, score in zip(keys, scores, strict=True):
        if score is None:
            notes.append(f"no {_label(key)}: {_why_not(own, key)}")
        elif scale(score):
            notes.append(f"{_label(key)}: {scale(score)}")
    cells = tuple(NOTHING if score is None else _cell(own, score) for score in scores)
    return Line(model=f"this run: {own.model}", n=own.n, cells=cells, own=True, notes=tuple(notes))


def _why_not(own: Own, key: str) -> str:
    known = own.report.not_computed.get(key)
    if known is None and key in own.report.scores:
        known = own.report.scores[key].reason or "it does not exist for these sounds"
    asked = (
        "not asked for" if key in own.report.protocol["metrics"] else "the card does not have it"
    )
    return known or asked


def _cell(own: Own, score: Score) -> str:
    """Write a score so that it cannot be copied without the word, where it is a stand-in."""
    words = [f"{score.value:.3g}", score.interval_text()]
    return " ".join(w for w in [*words, STAND_IN if own.is_stand_in(score) else ""] if w)


def _label(key: str) -> str:
    return METRICS[key].label if key in METRICS else key


def _arrow(key: str) -> str:
    best = METRICS[key].best if key in METRICS else "low"
    return {"low": "\N{DOWNWARDS ARROW}", "high": "\N{UPWARDS ARROW}"}.get(best, "(near 0)")


def about_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what every table says of the run, a line each."""
    made = f"sounds given: {found['given']}" if found["given"] else f"model {found['model']}"
    if found["model_hash"]:
        made += f" ({found['model_hash'][:12]}), licence {found['licence']}"
    lines = [
        made,
        f"test set: {found['test_set']}; N = {found['clips']} of {found['of_clips']} clips, "
        f"{found['sounds']} sounds",
        f"captions: {found['captions']}; choice sha256 {found['choice_sha256'][:12]}",
    ]
    if found["sampling"]:
        lines.append(f"sampling: {found['sampling']}")
    bias = found["fad_bias"]
    if bias["at_this_n"]:
        low, high = bias["at_this_n"]
        lines.append(f"of FAD, chance alone makes about {low:.2g} to {high:.2g} at this N")
    return lines


def write_tables(run: Run) -> str:
    """Write the text, the Markdown and the page; return the text of tables with own scores."""
    own, about = read_own(run), about_lines(facts(run))
    if not own:
        raise ValueError(f"{run.folder / 'scores'} holds no report: nothing was scored yet")
    found = tables(own, read_published())
    page = fill(
        TEMPLATE,
        title="Scores on AudioCaps",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        about=about,
        tables=found,
        audit=(run.folder / "audit" / "audit.txt").read_text(encoding="utf-8"),
        reports=own,
    )
    texts = {
        "table.txt": as_text(about, found),
        "table.md": as_markdown(about, found),
        "report.html": page,
    }
    for name, content in texts.items():
        with replacing(run.folder / name) as path:
            path.write_text(content, encoding="utf-8")
    return as_text(about, [table for table in found if table.protocol])


def main(argv: list[str] | None = None) -> int:
    """Write and print the tables."""
    parser = Parser(
        prog="python -m recipes.audiocaps_metrics.table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    args = parser.parse_args(argv)
    try:
        print(write_tables(Run(folder=args.run)), end="", flush=True)
        print(f"other protocols, not comparable: {args.run / 'table.txt'}", file=sys.stderr)
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
