"""The tables of a report, as rows of text: one for a terminal, one for a page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.score import Score, better

Rows = list[tuple[str, ...]]  # the first is the heading


def score_rows(scores: Mapping[str, Score], *, interval_title: str) -> Rows:
    """Return a row per metric: value, interval, N, which way is better."""
    rows: Rows = [("metric", "value", interval_title, "N", "better")]
    rows += [
        (score.label, _value(score), score.interval_text(), str(score.n), better(score.best))
        for score in scores.values()
    ]
    return rows


def class_rows(scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]) -> Rows:
    """Return a row per class, the worst by the first metric first; nothing without classes."""
    keys = [key for key in scores if any(key in row for row in classes.values())]
    if not keys:
        return []
    order = sorted(classes, key=lambda label: _badness(classes[label].get(keys[0])))
    rows: Rows = [("class", *(_heading(scores[key]) for key in keys), "N")]
    for label in order:
        row = classes[label]
        count = max(score.n for score in row.values())
        rows.append((label, *(_cell(row.get(key)) for key in keys), str(count)))
    return rows


def worst_pairs(
    items: Sequence[Mapping[str, Any]], scores: Mapping[str, Score], *, limit: int
) -> tuple[Rows, str]:
    """Return a row per pair, worst first, and what the order goes by; nothing without values.

    Args:
        items: the report's pairs.
        scores: the report's scores; the order goes by the first one that pairs have values of.
        limit: how many pairs to show.
    """
    keys = [key for key in scores if any(_number(item, key) is not None for item in items)]
    if not keys:
        return [], ""
    extras = [name for name in ("class", "captions") if any(item.get(name) for item in items)]
    heading = ("Name", *(scores[key].label for key in keys), *(n.capitalize() for n in extras))
    valued = [item for item in items if _number(item, keys[0]) is not None]
    worst = sorted(valued, key=lambda item: _order(_number(item, keys[0]), scores[keys[0]].best))
    rows: Rows = [heading]
    for item in worst[:limit]:
        cells = [_value_text(_number(item, key), scores[key].unit) for key in keys]
        rows.append((item["name"], *cells, *(_extra_text(item.get(name)) for name in extras)))
    return rows, scores[keys[0]].label


def as_text(rows: Rows) -> list[str]:
    """Return rows as aligned lines, with a rule under the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return lines


def _value(score: Score) -> str:
    """Return the value without the reason why there is none: it has its own line."""
    return "n/a" if math.isnan(score.value) else score.to_text()


def _heading(score: Score) -> str:
    return f"{score.label}, {score.unit}" if score.unit else score.label


def _cell(score: Score | None) -> str:
    if score is None or math.isnan(score.value):
        return "n/a"
    return f"{score.value:.4g} {score.interval_text()}".strip()


def _badness(score: Score | None) -> float:
    """Order classes from bad to good; those without a score first, they need a look."""
    if score is None or math.isnan(score.value):
        return -math.inf
    return _order(score.value, score.best)


def _order(value: float | None, best: str) -> float:
    """Map a value to a number that is small where the value is bad."""
    value = math.nan if value is None else value
    return {"low": -value, "high": value, "zero": -abs(value)}[best]


def _number(item: Mapping[str, Any], key: str) -> float | None:
    """Return the value of a pair, None where there is none; infinite ones are values."""
    value = item["values"].get(key)
    return None if value is None or math.isnan(value) else value


def _value_text(value: float | None, unit: str) -> str:
    return "n/a" if value is None else f"{value:.4g} {unit}".strip()


def _extra_text(value: str | Sequence[str] | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return " / ".join(value)
