"""A comparison for people: text, Markdown, LaTeX, and a page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.reports.latex import (
    LATEX_MARK,
    MARK,
    latex_cell,
    latex_heading,
    latex_notes,
    latex_text,
    packages_line,
)
from evaluation.reports.rows import ARROWS, STAND_IN_NOTE, markdown_text
from evaluation.reports.tables import STAND_IN, Rows, as_text
from evaluation.scorers.score import better

Comparison = Mapping[str, Any]


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison as lines for a terminal."""
    lines = [*differing_lines(comparison), *_blank(as_text(value_rows(comparison)))]
    lines += _blank(as_text(difference_rows(comparison)))
    return "\n".join([*lines, *notes(comparison)])


def differing_lines(comparison: Comparison) -> list[str]:
    """Say over the table what makes it no comparison of systems alone; nothing if nothing does."""
    if not comparison["differing"]:
        return []
    lines = [
        "NOT COMPARABLE: the fields below differ, and the differences are theirs as much as those "
        "of the sounds."
    ]
    for entry in comparison["differing"]:
        values = ", ".join(f"{value!r} in {name}" for name, value in entry["values"].items())
        lines.append(f"  {entry['field']}: {values}")
    return [*lines, ""]


def value_rows(comparison: Comparison) -> Rows:
    """Return a row per metric with the value and interval of every report."""
    names = [report["name"] for report in comparison["reports"]]
    rows: Rows = [("metric", *names, "better")]
    for score in comparison["scores"].values():
        cells = [_value(score["values"][name]) for name in names]
        rows.append((title(score), *cells, better(score["best"])))
    return rows


def difference_rows(comparison: Comparison) -> Rows:
    """Return a row per metric and pair of reports: the difference, how sure, and what it takes."""
    rows: Rows = [("metric", "difference", "value", comparison["interval"], "", "N", "N to see it")]
    for score in comparison["scores"].values():
        for found in score["differences"]:
            sure = not comparison["differing"]
            needed = found["clips_needed"] if sure else None
            rows.append(
                (
                    title(score),
                    f"{found['b']} - {found['a']}",
                    _number(found["value"]),
                    _interval(found["interval"]),
                    verdict(score, found) if sure else "not comparable",
                    str(found["n"]),
                    "" if needed is None else str(round_up(needed)),
                )
            )
    return rows


def title(score: Mapping[str, Any]) -> str:
    """Return label and unit of a metric."""
    return f"{score['label']}, {score['unit']}" if score["unit"] else score["label"]


def verdict(score: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Say what the interval of a difference allows to say, in words."""
    if found["resolved"] is None:
        return "no value" if found["value"] is None else "no interval"
    if not found["resolved"]:
        return "not resolved"
    if score["best"] == "zero":
        return _nearer_zero(score, found)
    above = found["value"] > 0
    return f"{found['b'] if above == (score['best'] == 'high') else found['a']} is better"


def round_up(count: int) -> int:
    """Round a number of clips up to two digits: it is an estimate, and no more are known.

    >>> round_up(8), round_up(401), round_up(1219614)
    (8, 410, 1300000)
    """
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _nearer_zero(score: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Say of two values that differ which is nearer zero; on two sides of it, that they differ."""
    a, b = (score["values"][found[name]]["value"] for name in ("a", "b"))
    if a * b < 0:
        return f"they differ in sign, {found['b'] if abs(b) < abs(a) else found['a']} less far off"
    return f"{found['b'] if abs(b) < abs(a) else found['a']} is nearer 0"


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the tables must also know, one line each."""
    differences = [d for score in comparison["scores"].values() for d in score["differences"]]
    sure = [found for found in differences if found["resolved"] is not None]
    share = comparison["confidence"]
    lines = [
        f"{report['name']} = {report['file']}: {report['card']}; N = {report['pairs']} pairs"
        for report in comparison["reports"]
    ]
    if sure:
        chance = (1 - share) * len(sure)
        lines.append(
            f"resolved: the {comparison['interval']} of the difference, clips resampled for both "
            f"systems at once, leaves out zero. Intervals shown: {len(sure)}; without any true "
            f"difference about {chance:.2g} of them would leave it out by chance."
        )
        lines.append(
            "N to see it: clips with which a difference of this size would be resolved 8 times out "
            "of 10."
        )
    for score in comparison["scores"].values():
        methods = dict.fromkeys(found["method"] for found in score["differences"])
        lines += [f"{score['label']}: {method}" for method in methods]
    for package, versions in comparison["libraries"].items():
        found = ", ".join(f"{version} in {name}" for name, version in versions.items())
        lines.append(f"made with different versions of {package}: {found}")
    for name, keys in comparison["only_in"].items():
        lines += [f"not in all reports, so left out: {', '.join(keys)} of {name}"] if keys else []
    return lines


def comparison_markdown(comparison: Comparison) -> str:
    """Return both tables in Markdown, what differs above them."""
    lines = [markdown_text(line) for line in differing_lines(comparison)]
    lines = [line + "  " if line else "" for line in lines]
    for rows in (value_rows(comparison), difference_rows(comparison)):
        lines += [*_markdown_table(rows), ""]
    lines += [markdown_text(note) + "  " for note in notes(comparison)]
    return "\n".join([*lines, ""])


def comparison_latex(comparison: Comparison) -> str:
    """Return a row per report and one per difference; what it needs is in its first line."""
    scores = list(comparison["scores"].values())
    names = [report["name"] for report in comparison["reports"]]
    titles = [
        latex_heading(title(score).removeprefix(STAND_IN), ARROWS[score["best"]][1])
        for score in scores
    ]
    body = [
        [latex_text(name), *(_latex_value(score["values"][name]) for score in scores)]
        for name in names
    ]
    body.append([])
    for other in names[1:]:
        found = [
            {**_between(score, names[0], other), "stand_in": score["label"].startswith(STAND_IN)}
            for score in scores
        ]
        body.append([latex_text(f"{other} - {names[0]}"), *map(_latex_value, found)])
    lines = [
        *(f"% {latex_text(line)}" for line in notes(comparison)),
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
    """Return what must be read with the table in a paper; the rest is in comments."""
    lines = [line for line in differing_lines(comparison) if line]
    if any(score["label"].startswith(STAND_IN) for score in comparison["scores"].values()):
        lines.append(f"{MARK} {STAND_IN_NOTE}")
    return [*lines, f"In brackets the {comparison['interval']}, from resampling clips."]


def _between(score: Mapping[str, Any], a: str, b: str) -> Mapping[str, Any]:
    return next(d for d in score["differences"] if (d["a"], d["b"]) == (a, b))


def _latex_value(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return "--"
    mark = LATEX_MARK if entry["stand_in"] else ""
    return latex_cell(f"{_number(entry['value'])}{mark}", _interval(entry["interval"]))


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _markdown_table(rows: Rows) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield "| " + " | ".join(map(markdown_text, row)) + " |"
        if number == 0:
            yield "| " + " | ".join(["---"] * len(row)) + " |"


def _value(entry: Mapping[str, Any]) -> str:
    return f"{_number(entry['value'])} {_interval(entry['interval'])}".strip()


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _interval(interval: Sequence[float] | None) -> str:
    return f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""


def _blank(lines: list[str]) -> list[str]:
    return [*lines, ""]
