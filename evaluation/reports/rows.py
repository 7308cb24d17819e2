"""A report as a row of somebody's table: Markdown, LaTeX with booktabs, and the clips as CSV."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.folders import printable
from evaluation.reports.latex import (
    LATEX_MARK,
    MARK,
    latex_cell,
    latex_heading,
    latex_notes,
    latex_text,
    packages_line,
)
from evaluation.reports.tables import count_text, is_stand_in, plain_title, value_keys, value_of
from evaluation.scorers.score import Score

if TYPE_CHECKING:
    from evaluation.reports.report import Report

ARROWS = {"low": ("↓", r"$\downarrow$"), "high": ("↑", r"$\uparrow$"), "zero": ("→ 0", r"$\to 0$")}
STAND_IN_NOTE = "Random weights in the place of a trained network: says nothing about the sounds."
MARKDOWN = {letter: f"\\{letter}" for letter in "\\`*_[]|<>~#"}


def markdown_table(reports: Mapping[str, "Report"]) -> str:
    """Return a table with a row per report: values with interval, N, and the card.

    Args:
        reports: name of the row -> report; the first one gives the intervals' confidence.
    """
    columns = _columns(list(reports.values()))
    titles = [
        f"{markdown_text(plain_title(score))} {ARROWS[score.best][0]}" for score in columns.values()
    ]
    lines = [["", *titles, "N", "protocol"], ["---", *["---:"] * (len(titles) + 1), "---"]]
    for name, report in reports.items():
        values = [_cell(report, key, "{} {}".format, mark=MARK) for key in columns]
        lines.append(
            [markdown_text(name), *values, _count(report), markdown_text(report.card_title())]
        )
    table = ["| " + " | ".join(cells) + " |" for cells in lines]
    notes = [*_notes(reports), *_origins(reports)]
    return "\n".join([*table, "", *(f"{markdown_text(note)}  " for note in notes), ""])


def latex_table(reports: Mapping[str, "Report"]) -> str:
    """Return the same table for LaTeX; what it needs is in its first line."""
    columns = _columns(list(reports.values()))
    titles = [
        latex_heading(plain_title(score), ARROWS[score.best][1]) for score in columns.values()
    ]
    body = []
    for name, report in reports.items():
        values = [_cell(report, key, latex_cell, mark=LATEX_MARK) for key in columns]
        body.append([latex_text(name), *values, _count(report), latex_text(report.card_title())])
    lines = [
        *(f"% {latex_text(note)}" for note in _origins(reports)),
        rf"\begin{{tabular}}{{l{'r' * (len(titles) + 1)}l}}",
        r"\toprule",
        _latex_line(["", *titles, "$N$", "Protocol"]),
        r"\midrule",
        *map(_latex_line, body),
        r"\bottomrule",
        r"\end{tabular}",
        *latex_notes(_notes(reports)),
        "",
    ]
    return "\n".join([packages_line(lines), *lines])


def csv_table(report: "Report") -> str:
    """Return a line per clip: its name, class, captions, hashes, and values in full precision.

    The column of a metric is its key, with "standin_" before it where the network's weights are
    random.
    """
    keys = value_keys(report.items, report.scores)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    facts = ["name", "class", "captions", "reference_sha256", "generated_sha256"]
    stand_in = {key for key in keys if is_stand_in(report.scores[key])}
    writer.writerow([*facts, *(f"standin_{key}" if key in stand_in else key for key in keys)])
    for item in report.items:
        values = [value_of(item, key) for key in keys]
        captions = " / ".join(item.get("captions") or ())
        hashes = [item.get(name, "") for name in facts[3:]]
        writer.writerow([item["name"], item.get("class", ""), captions, *hashes, *values])
    return buffer.getvalue()


def markdown_text(text: str) -> str:
    """Escape what Markdown reads as form, or as the end of a cell."""
    plain = printable(" ".join(text.split()))
    return "".join(MARKDOWN.get(letter, letter) for letter in plain)


def _columns(reports: Sequence["Report"]) -> dict[str, Score]:
    """Return every metric that one of the reports has, as the first that has it describes it."""
    columns: dict[str, Score] = {}
    for report in reports:
        for key, score in report.scores.items():
            columns.setdefault(key, score)
    return columns


def _cell(report: "Report", key: str, form: Callable[[str, str], str], *, mark: str) -> str:
    """Return value and interval in some form, and N where it is not that of the report.

    A value of random weights has a mark of its own, which goes with it wherever it is copied.
    """
    score = report.scores.get(key)
    if score is None or math.isnan(score.value):
        return "--"
    marked = mark if is_stand_in(score) else ""
    count = f" (N = {count_text(score)})" if score.n != report.data["pairs"] else ""
    return form(f"{score.value:.4g}{marked}", score.interval_text()).strip() + count


def _count(report: "Report") -> str:
    return str(report.data["pairs"])


def _notes(reports: Mapping[str, "Report"]) -> list[str]:
    """Return what must stand under the table."""
    first = next(iter(reports.values()))
    scores = [score for report in reports.values() for score in report.scores.values()]
    notes = []
    if any(score.interval is not None for score in scores):
        notes.append(f"In brackets the {first.interval_title()}, from resampling clips.")
    if any(is_stand_in(score) for score in scores):
        notes.insert(0, f"{MARK} {STAND_IN_NOTE}")
    for name, report in reports.items():
        of = f"{name}: " if len(reports) > 1 else ""
        notes += [f"{of}{text}." for text in report.limits()]
        missing = ", ".join(report.not_computed)
        notes += [f"{name}: not computed: {missing}."] if missing else []
        notes += [f"{name}: {flag}" for flag in report.flags]
        notes += [f"{name}: warning: {text}" for text in report.warnings]
    return notes


def _origins(reports: Mapping[str, "Report"]) -> list[str]:
    """Return what each row was made with."""
    return [
        f"{name}: {report.summary()}, instrument {report.provenance['instrument']}."
        for name, report in reports.items()
    ]


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
