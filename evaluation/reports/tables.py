"""The tables of a report, as rows of text: one for a terminal, one for a page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.catalog import METRICS
from evaluation.folders import printable
from evaluation.scorers.score import Score, better

Rows = list[tuple[str, ...]]  # the first is the heading

STAND_IN = "stand-in (random weights): "
NOTHING = "-"  # where there is no such number
MISSING = "n/a"  # where there is one, and it could not be computed
BESIDE = {  # detail of a score that belongs beside its value -> heading, and what it is
    "bias": (
        "bias",
        "what N adds to the distance, and between which ends the estimate lies",
    ),
    "reference_halves": ("halves", "one half of the references against the other, N/2 sounds each"),
    "reference_self": ("self", "the references scored in place of the generated sounds"),
}


def score_rows(scores: Mapping[str, Score], *, interval_title: str) -> Rows:
    """Return a row per metric: value, interval, N, which way is better, and what to hold it to.

    The last are the bias of a small sample, the score of one half of the references against the
    other, and that of the references themselves; a column without any entry is left out, and "-" is
    for a score that has no such number.
    """
    shown = beside_columns(scores)
    rows: Rows = [
        ("metric", "value", interval_title, "N", "better", *(BESIDE[name][0] for name in shown))
    ]
    for score in scores.values():
        extras = [beside_text(score, name) for name in shown]
        rows.append(
            (
                label_of(score),
                _value(score),
                score.interval_text(),
                count_text(score),
                better(score.best),
                *extras,
            )
        )
    return rows


def bias_reason(score: Score) -> str:
    """Return why a score that has a bias has no estimate of it; empty if it has one."""
    bias = score.details.get("bias")
    if not isinstance(bias, Mapping) or beside(score, "bias") is not None:
        return ""
    return str(bias.get("reason") or "it could not be estimated")


def count_text(score: Score) -> str:
    """Return N: the clips that a score is made of, of each side where these differ."""
    clips = score.details.get("clips")
    if not isinstance(clips, Mapping) or len(set(clips.values())) < 2:
        return str(score.n)
    return ", ".join(f"{count} {side}" for side, count in clips.items())


def label_of(score: Score) -> str:
    """Return what a reader sees of a metric; one of random weights says so wherever it is."""
    marked = score.label.startswith(STAND_IN) or not score.details.get("stand_in")
    return score.label if marked else STAND_IN + score.label


def is_stand_in(score: Score) -> bool:
    """Tell whether a score is of a network with random weights."""
    return label_of(score).startswith(STAND_IN)


def plain_title(score: Score) -> str:
    """Return label and unit alone, where random weights are marked at each value."""
    return title_of(score).removeprefix(STAND_IN)


def title_of(score: Score) -> str:
    """Return what a column of a metric's values is headed with: its label and unit."""
    return f"{label_of(score)}, {score.unit}" if score.unit else label_of(score)


def heading_of(score: Score) -> str:
    """Return a title that is short enough for one of many columns: random weights in a word."""
    return title_of(score).replace(STAND_IN, "stand-in: ")


def item_title(score: Score) -> str:
    """Return what the values of single clips are called: some are not what the score averages.

    A clip far from all references by a distance of sets is unlike most of them, and may be good.
    """
    if is_of_clips(score):
        return heading_of(score)
    return f"{heading_of(score)}: each clip alone against all references (typicality, not quality)"


def is_of_clips(score: Score) -> bool:
    """Tell whether a score is a statistic of the values of its clips."""
    return bool(score.details.get("statistic")) or METRICS[score.name].kind is None


def value_of(item: Mapping[str, Any], key: str) -> float | None:
    """Return the value of a pair, None where there is none."""
    value = item["values"].get(key)
    return None if value is None or math.isnan(value) else value


def beside(score: Score, name: str) -> float | None:
    """Return a number of a score's details, or of the "value" or "estimate" of one in parts."""
    value = score.details.get(name)
    if isinstance(value, Mapping):
        value = value.get("value", value.get("estimate"))
    usable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if usable and value is not None else None


def beside_columns(scores: Mapping[str, Score]) -> list[str]:
    """Return which details stand beside the scores: those that one of them has, or should have."""
    return [
        name
        for name in BESIDE
        if any(
            beside(score, name) is not None or (name == "bias" and bias_reason(score))
            for score in scores.values()
        )
    ]


def beside_text(score: Score, name: str) -> str:
    """Return a number beside a score, an estimate with its ends; or that there is none."""
    value = beside(score, name)
    if value is None:
        return MISSING if name == "bias" and bias_reason(score) else NOTHING
    parts = score.details[name]
    if not isinstance(parts, Mapping):
        return f"{value:.4g}"
    ends = [parts.get(end) for end in ("low", "high")]
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        return f"{value:.4g}"
    return f"about {value:.2g} ({ends[0]:.2g} to {ends[1]:.2g})"


def class_rows(scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]) -> Rows:
    """Return a row per class, the worst by the first metric first; nothing without classes."""
    keys = _keys_of(scores, classes)
    order = sorted(classes, key=lambda label: _badness(classes[label].get(keys[0]))) if keys else []
    return group_rows(scores, {label: classes[label] for label in order}, kind="class")


def class_title(scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]) -> str:
    """Return the heading of the table of classes, with the metric that orders them."""
    keys = _keys_of(scores, classes)
    return f"Per class, worst first by {label_of(scores[keys[0]])}" if keys else ""


def group_rows(
    scores: Mapping[str, Score], groups: Mapping[str, Mapping[str, Score]], *, kind: str
) -> Rows:
    """Return a row per group of clips, in their order; nothing if no group has a score.

    Args:
        scores: those of the whole set, which give the columns.
        groups: name -> metric key -> score.
        kind: what a group is, for the heading.
    """
    keys = _keys_of(scores, groups)
    if not keys:
        return []
    rows: Rows = [(kind, *(heading_of(scores[key]) for key in keys), "N")]
    for label, row in groups.items():
        count = max((score.n for score in row.values()), default=0)
        rows.append((label, *(_cell(row.get(key)) for key in keys), str(count)))
    return rows


def sanity_rows(
    scores: Mapping[str, Score], sanity: Mapping[str, Mapping[str, float | None]]
) -> Rows:
    """Return a row per metric with its value for every system of the battery; nothing without.

    A metric that was not asked about a system has no number there.
    """
    keys = [key for key in scores if any(key in row for row in sanity.values())]
    if not keys:
        return []
    rows: Rows = [("metric", *sanity)]
    rows += [
        (
            title_of(scores[key]),
            *(_plain(row[key]) if key in row else NOTHING for row in sanity.values()),
        )
        for key in keys
    ]
    return rows


def rank_items(items: Sequence[Mapping[str, Any]], score: Score) -> list[Mapping[str, Any]]:
    """Return the pairs that have a value of a metric, the worst first; infinite ones are values."""
    valued = [(item, value_of(item, score.name)) for item in items]
    known = [(item, value) for item, value in valued if value is not None]
    return [item for item, _ in sorted(known, key=lambda entry: badness(entry[1], score.best))]


def value_keys(items: Sequence[Mapping[str, Any]], scores: Mapping[str, Score]) -> list[str]:
    """Return the metrics of which some pair has a value of its own."""
    return [key for key in scores if any(value_of(item, key) is not None for item in items)]


def badness(value: float, best: str) -> float:
    """Map a value to a number that is small where the value is bad."""
    return {"low": -value, "high": value, "zero": -abs(value)}[best]


def as_text(rows: Rows) -> list[str]:
    """Return rows as aligned lines, with a rule under the heading; every row is one line."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return lines


def _value(score: Score) -> str:
    """Return the value without the reason why there is none: it has its own line."""
    return MISSING if math.isnan(score.value) else score.to_text()


def _cell(score: Score | None) -> str:
    if score is None or math.isnan(score.value):
        return MISSING
    return f"{score.value:.4g} {score.interval_text()}".strip()


def _plain(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:.4g}"


def _keys_of(scores: Mapping[str, Score], groups: Mapping[str, Mapping[str, Score]]) -> list[str]:
    return [key for key in scores if any(key in row for row in groups.values())]


def _badness(score: Score | None) -> float:
    """Order classes from bad to good; those without a score first, they need a look."""
    if score is None or math.isnan(score.value):
        return -math.inf
    return badness(score.value, score.best)
