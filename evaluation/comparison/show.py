"""A comparison for people: its tables, as text and in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.comparison.notes import Comparison, differing_lines, notes, stand_in_lines
from evaluation.reports.rows import markdown_text
from evaluation.reports.tables import Rows, as_text
from evaluation.scorers.score import better

RANDOM = "random weights, no verdict"


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison as lines for a terminal."""
    lines = [*banner_lines(comparison), *_blank(as_text(value_rows(comparison)))]
    lines += _blank(as_text(difference_rows(comparison)))
    return "\n".join([*lines, *notes(comparison)])


def banner_lines(comparison: Comparison) -> list[str]:
    """Return what stands over the tables, lest they are believed without it."""
    return [*differing_lines(comparison), *stand_in_lines(comparison["scores"].values())]


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
                    number(found["value"]),
                    interval_text(found["interval"]),
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
    if score["stand_in"]:
        return RANDOM
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


def comparison_markdown(comparison: Comparison) -> str:
    """Return both tables in Markdown, what differs above them."""
    lines = [markdown_text(line) for line in banner_lines(comparison)]
    lines = [line + "  " if line else "" for line in lines]
    for rows in (value_rows(comparison), difference_rows(comparison)):
        lines += [*_markdown_table(rows), ""]
    lines += [markdown_text(note) + "  " for note in notes(comparison)]
    return "\n".join([*lines, ""])


def _markdown_table(rows: Rows) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield "| " + " | ".join(map(markdown_text, row)) + " |"
        if number == 0:
            yield "| " + " | ".join(["---"] * len(row)) + " |"


def _value(entry: Mapping[str, Any]) -> str:
    return f"{number(entry['value'])} {interval_text(entry['interval'])}".strip()


def number(value: float | None) -> str:
    """Return four digits of a value, or that there is none."""
    return "n/a" if value is None else f"{value:.4g}"


def interval_text(interval: Sequence[float] | None) -> str:
    """Return an interval as "[low, high]"; nothing if there is none."""
    return f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""


def _blank(lines: list[str]) -> list[str]:
    return [*lines, ""]
