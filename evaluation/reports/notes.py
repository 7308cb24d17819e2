"""What must be said under the tables of a report: what their numbers are, and where they end."""

import math
from collections.abc import Iterable, Mapping

from evaluation.catalog import METRICS
from evaluation.reports.tables import (
    BESIDE,
    MISSING,
    NOTHING,
    STAND_IN,
    Rows,
    beside,
    beside_columns,
    beside_text,
    bias_reason,
    label_of,
)
from evaluation.scorers.score import Score

Groups = Mapping[str, Mapping[str, Score]]

DISTANCES = ("frechet", "frechet_infinity", "kernel")
UNSAID = "the report does not say why"  # reports of earlier versions


def beside_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say what the columns beside the scores are, as far as there are any, and their limits."""
    shown = beside_columns(scores)
    notes = [f"{BESIDE[name][0]}: {BESIDE[name][1]}" for name in shown]
    moved = [s.name for s in scores.values() if _is_moved(s)]
    if moved:
        notes.append(
            f"self of {', '.join(moved)}: here the references went through the card's steps for "
            "generated sounds, as a copy of them would"
        )
    below = [s.name for s in scores.values() if METRICS[s.name].kind == "kl" and _is_below(s)]
    return notes + [f"{key}: below zero, from the card's epsilon or activation" for key in below]


def sign_notes(tables: Iterable[Rows], scores: Mapping[str, Score]) -> list[str]:
    """Explain the signs that stand for a number somewhere in the tables, each once."""
    cells = {cell for rows in tables for row in rows[1:] for cell in row}
    notes = [f"{MISSING}: it could not be computed or estimated"] if MISSING in cells else []
    if NOTHING not in cells:
        return notes
    alike = any(
        METRICS[s.name].kind in DISTANCES and not s.details.get("self_as_generated")
        for s in scores.values()
    )
    why = ""
    if alike and "reference_self" in beside_columns(scores):
        why = "; self of a distance, where both sides are prepared alike, is 0"
    return [*notes, f"{NOTHING}: there is no such number{why}"]


def interval_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say what the intervals are for, and why a score has none."""
    missing: dict[str, list[str]] = {}
    for score in scores.values():
        if why_no_interval(score):
            missing.setdefault(why_no_interval(score), []).append(score.name)
    absent = [f"no interval of {', '.join(keys)}: {text}" for text, keys in missing.items()]
    return meaning_notes(scores) + absent


def meaning_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say what the intervals are for."""
    of: dict[str, list[str]] = {}
    for score in scores.values():
        if score.interval is not None and "interval_of" in score.details:
            text = f"interval of {{}}: {score.details['interval_of']}{_cut(score)}"
            of.setdefault(text, []).append(score.name)
    return [text.format(", ".join(keys)) for text, keys in of.items()]


def limit_notes(scores: Mapping[str, Score], *, interval_title: str) -> list[str]:
    """Say what no reader of the numbers may miss, in every form of a report.

    How far the intervals hold, what they leave out, and why a score has none or no value.
    """
    texts: dict[str, list[str]] = {}
    for score in scores.values():
        for text in _limits(score):
            texts.setdefault(text, []).append(plain_label(score))
    notes = [text.format(", ".join(labels)) for text, labels in texts.items()]
    if any(score.interval is not None for score in scores.values()):
        notes.insert(
            0,
            f"{interval_title}: nominal; near the floor of a distance it is wider than need be, "
            "with heavy tails at small N narrower",
        )
    return notes


def group_note(groups: Groups) -> str:
    """Say why some cells of a table by class or group have no interval; empty if all have."""
    rows = [score for row in groups.values() for score in row.values()]
    if not any(s.interval is None and not math.isnan(s.value) for s in rows):
        return ""
    return "without brackets: fewer than 8 clips, or a score that has no interval at all"


def why_no_interval(score: Score) -> str:
    """Return why a score that has a value has no interval; empty if it has one."""
    if score.interval is not None or math.isnan(score.value):
        return ""
    return str(score.details.get("no_interval", UNSAID))


def plain_label(score: Score) -> str:
    """Return a label where random weights are marked at each value."""
    return label_of(score).removeprefix(STAND_IN)


def _limits(score: Score) -> Iterable[str]:
    """Yield what must be said of a score, with a place for its label."""
    if math.isnan(score.value):
        yield f"{{}}: n/a ({_plain(score.reason or UNSAID)})"
        return
    if why_no_interval(score):
        yield f"no interval of {{}}: {_plain(why_no_interval(score))}"
    adds = "what N adds to the distance"
    out = "the interval leaves out " if score.interval is not None else ""
    if bias_reason(score):
        yield f"{{}}: {out}{adds}, of which there is no estimate: {_plain(bias_reason(score))}"
    elif beside(score, "bias"):  # none by construction has nothing to say
        yield f"{{}}: {out}{adds}, {beside_text(score, 'bias')}"


def _plain(text: str) -> str:
    """Return a text that `str.format` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _cut(score: Score) -> str:
    """Say that an interval was cut at a bound of its score."""
    bound = score.details.get("interval_cut")
    return "" if bound is None else f"; cut at {bound:g}, below which no value can be"


def _is_moved(score: Score) -> bool:
    moved = bool(score.details.get("self_as_generated"))
    return moved and beside(score, "reference_self") is not None


def _is_below(score: Score) -> bool:
    """Tell whether a score, or that of the references themselves, is below zero."""
    return min(score.value, beside(score, "reference_self") or 0.0) < 0
