"""A comparison as a table of a paper: what it cannot be read without stands visibly under it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evaluation.comparison.notes import (
    Comparison,
    Found,
    differing_lines,
    flag_notes,
    interval_notes,
    left_out,
    library_notes,
    method_notes,
    origins,
    resolved_notes,
    warning_notes,
)
from evaluation.comparison.show import interval_text, number, round_up, title, verdict
from evaluation.reports.latex import (
    LATEX_MARK,
    MARK,
    latex_cell,
    latex_heading,
    latex_notes,
    latex_text,
    packages_line,
)
from evaluation.reports.rows import ARROWS, STAND_IN_NOTE
from evaluation.reports.tables import STAND_IN


def comparison_latex(comparison: Comparison) -> str:
    """Return a row per report and one per difference to the first; line 1 says what it needs."""
    scores = list(comparison["scores"].values())
    first, *others = [report["name"] for report in comparison["reports"]]
    titles = [
        latex_heading(title(score).removeprefix(STAND_IN), ARROWS[score["best"]][1])
        for score in scores
    ]
    pairs = {report["name"]: report["pairs"] for report in comparison["reports"]}
    body = [
        [latex_text(name), *(_latex_value(s["values"][name], pairs[name]) for s in scores)]
        for name in (first, *others)
    ]
    body.append([])
    for other in others:
        found = [_between(s, first, other) | {"stand_in": s["stand_in"]} for s in scores]
        cells = [_latex_value(entry, pairs[first]) for entry in found]
        body.append([latex_text(f"{other} - {first}"), *cells])
    lines = [
        *(f"% {latex_text(line)}" for line in (*origins(comparison), *library_notes(comparison))),
        rf"\begin{{tabular}}{{l{'r' * len(titles)}}}",
        r"\toprule",
        _latex_line(["", *titles]),
        r"\midrule",
        *(_latex_line(cells) if cells else r"\midrule" for cells in body),
        r"\bottomrule",
        r"\end{tabular}",
        *latex_notes(_table_notes(comparison)),
        "",
    ]
    return "\n".join([packages_line(lines), *lines])


def _table_notes(comparison: Comparison) -> list[str]:
    """Return what must be read with the table; of differences, only what it shows."""
    scores = list(comparison["scores"].values())
    shown = [found for score in scores for found in _shown(comparison, score)]
    entries = [*shown, *(value for score in scores for value in score["values"].values())]
    lines = [line for line in differing_lines(comparison) if line]
    if any(score["stand_in"] for score in scores):
        lines.append(f"{MARK} {STAND_IN_NOTE}")
    lines += [*flag_notes(comparison), *warning_notes(comparison), *_cards(comparison)]
    if any(entry["interval"] for entry in entries):
        lines.append(f"In brackets the {comparison['interval']}, from resampling clips.")
    if any(entry["value"] is None for entry in entries):
        lines.append("\u2013: no value.")
    lines += [*interval_notes(comparison), *method_notes(comparison, shown)]
    if not comparison["differing"]:
        lines += [*resolved_notes(comparison, shown), *_verdicts(comparison)]
    return [*lines, *_not_shown(comparison), *left_out(comparison)]


def _cards(comparison: Comparison) -> list[str]:
    """Return card and N, once where all reports have the same."""
    found = {
        report["name"]: f"{report['card']}; N = {report['pairs']} pairs."
        for report in comparison["reports"]
    }
    if len(set(found.values())) == 1:
        return [f"Protocol {next(iter(found.values()))}"]
    return [f"{name}: protocol {text}" for name, text in found.items()]


def _verdicts(comparison: Comparison) -> Iterator[str]:
    """Yield for every difference shown in which scores it is resolved, and what that says."""
    for other in comparison["reports"][1:]:
        first = comparison["reports"][0]["name"]
        told = []
        for score in comparison["scores"].values():
            found = _between(score, first, other["name"])
            needed = found["clips_needed"]
            more = "" if needed is None else f" (N to see it: {round_up(needed)})"
            label = score["label"].removeprefix(STAND_IN)
            told.append(f"{label}: {_settled(score, found)}{verdict(score, found)}{more}")
        yield f"{other['name']} - {first}: {'; '.join(told)}."


def _settled(score: Mapping[str, Any], found: Found) -> str:
    return "resolved, " if found["resolved"] and not score["stand_in"] else ""


def _not_shown(comparison: Comparison) -> list[str]:
    """Name the differences that the table leaves out: those not to the first report."""
    first = comparison["reports"][0]["name"]
    found = {
        f"{d['b']} - {d['a']}": None
        for score in comparison["scores"].values()
        for d in score["differences"]
        if d["a"] != first
    }
    return [f"Not in this table: {', '.join(found)}."] if found else []


def _shown(comparison: Comparison, score: Mapping[str, Any]) -> Iterable[Found]:
    first = comparison["reports"][0]["name"]
    return [found for found in score["differences"] if found["a"] == first]


def _between(score: Mapping[str, Any], a: str, b: str) -> dict[str, Any]:
    return dict(next(d for d in score["differences"] if (d["a"], d["b"]) == (a, b)))


def _latex_value(entry: Mapping[str, Any], pairs: int) -> str:
    """Return value and interval, and N where it is not that of the report."""
    if entry["value"] is None:
        return "--"
    mark = LATEX_MARK if entry["stand_in"] else ""
    count = f" (N = {entry['n']})" if entry["n"] != pairs else ""
    text = latex_cell(f"{number(entry['value'])}{mark}", interval_text(entry["interval"]))
    return text + count


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
