"""What each choice of a protocol does to the scores of somebody's own sounds.

The same sounds are scored once as the card says, then with one choice at a time made otherwise.
Features that a choice does not touch come from the cache.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evaluation.explanation.sounds import Sounds, drawn_clips, quick_card, score_each
from evaluation.explanation.switches import Switch, list_switches
from evaluation.explanation.way import affected, walk_toward
from evaluation.progress import bar
from evaluation.protocols.card import ProtocolCard
from evaluation.protocols.path import walk
from evaluation.reports.report import Report, Score
from evaluation.reports.tables import label_of, value_of

__all__ = ["Sounds", "affected", "explain"]

NO_METRIC = "it changes no metric that can be computed here"


def explain(
    sounds: Sounds,
    card: ProtocolCard,
    *,
    toward: ProtocolCard | None = None,
    metrics: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    clips: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Score sounds under a card, then with one choice changed at a time.

    Args:
        sounds: what to score; without a cache one is kept for as long as this takes.
        card: where to start from.
        toward: another card; the way to it is then walked field by field.
        metrics: keys to look at; None for all that the card has and this machine can compute.
        names: switches to try, of `evaluation.explanation.switches.NAMES`; None for all.
        clips: take as many of the pairs, drawn with the card's seed; None for all.
        progress: say on stderr how far it is: a bar on a terminal, else a line now and then.

    Returns:
        JSON values: per metric the value with interval and the effects, the largest first; the
        switches that could not be tried, with why; and the way toward the other card.

    Raises:
        ValueError: for sounds, cards or metrics that cannot be used, named.
    """
    with TemporaryDirectory() as folder, drawn_clips(sounds, card, clips) as drawn:
        taken = drawn.cached(Path(folder))
        base, keys = _score_base(taken, card, metrics, progress=progress)
        switches = [s for s in list_switches(card) if names is None or s.name in names]
        stops = [] if toward is None else walk(card, toward)
        total = len(switches) + len(stops)
        with bar(total=total, desc="explaining", unit="switches", show=progress) as shown:
            effects, skipped = _try_switches(taken, card, switches, base, keys, shown)
            way = None
            if toward is not None:
                way = walk_toward(taken.aside(), card, toward, stops, keys, shown)
    return _describe(card, base, effects, skipped) | {"toward": way, "warnings": base.warnings}


def _score_base(
    sounds: Sounds, card: ProtocolCard, metrics: Sequence[str] | None, *, progress: bool
) -> tuple[Report, list[str]]:
    """Score as the card says; return the report, and the metrics that have a value.

    Raises:
        ValueError: if none has.
    """
    base = sounds.score(card, metrics, progress=progress)
    keys = [key for key, score in base.scores.items() if math.isfinite(score.value)]
    if not keys:
        reasons = {f"{key}: {score.reason}" for key, score in base.scores.items()}
        raise ValueError(f"no score to explain: {'; '.join(sorted(reasons))}. Score more sounds.")
    return base, keys


def _try_switches(
    sounds: Sounds,
    card: ProtocolCard,
    switches: Sequence[Switch],
    base: Report,
    keys: Sequence[str],
    shown: Any,
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, str]]]:
    """Return the effects by metric, and the switches that could not be tried."""
    effects: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    skipped = []
    for switch in switches:
        found, reasons = _try_switch(sounds, card, switch, base, keys)
        for key, report in found.items():
            about = {"switch": switch.name, "change": switch.change}
            effects[key].append(about | _effect(key, base, report))
        skipped += [
            {"switch": switch.name, "change": switch.change, "reason": reason} for reason in reasons
        ]
        shown.update()
    return effects, skipped


def _try_switch(
    sounds: Sounds, card: ProtocolCard, switch: Switch, base: Report, keys: Sequence[str]
) -> tuple[dict[str, Report], list[str]]:
    """Score the metrics that a switch moves; one that cannot be scored does not hide the others.

    Networks of the switch go when it is done; those of the card stay for the next one.
    """
    if switch.card is None:
        return {}, [switch.problem or "the changed card is none"]
    whole = switch.share < 1
    wanted = list(keys) if whole else affected(card, switch.card, keys)
    if not wanted:
        return {}, [NO_METRIC]
    count = round(switch.share * base.data["pairs"]) if whole else None
    try:
        with drawn_clips(sounds.aside(), card, count) as taken:
            return score_each(taken, quick_card(switch.card), wanted)
    except ValueError as error:
        return {}, [str(error)]


def _effect(key: str, base: Report, report: Report) -> dict[str, Any]:
    """Return what a switch did to a metric, with the interval of that where clips have values."""
    from evaluation.comparison.paired import CENTERS, compare_values, without_interval
    from evaluation.protocols.card import Bootstrap

    before, after = base.scores[key], report.scores[key]
    change = after.value - before.value if math.isfinite(after.value) else None
    statistic = before.details.get("statistic")
    if statistic in CENTERS and len(report.items) == len(base.items):
        found = compare_values(
            _values(key, base),
            _values(key, report),
            difference=change,
            statistic=statistic,
            settings=Bootstrap(**base.protocol["bootstrap"]),
        )
    else:
        found = without_interval(change, "", n=after.n)
    return {
        "value": after.value if change is not None else None,
        "effect": change,
        "effect_interval": found.interval,
        "beyond_interval": _beyond(before, after.value),
        "n": after.n,
        "reason": after.reason,
    }


def _beyond(before: Score, value: float) -> bool | None:
    """Tell whether a changed value lies outside of the interval of the score."""
    if before.interval is None or not math.isfinite(value):
        return None
    return not before.interval[0] <= value <= before.interval[1]


def _describe(
    card: ProtocolCard,
    base: Report,
    effects: Mapping[str, list[dict[str, Any]]],
    skipped: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what was found, as JSON values."""
    missing = [{"switch": key, "change": "", "reason": r} for key, r in base.not_computed.items()]
    return {
        "protocol": {"name": card.name, "version": card.version, "title": base.card_title()},
        "pairs": base.data["pairs"],
        "references": base.data["reference"]["sha256"],
        "interval": base.interval_title(),
        "scores": {
            key: _describe_score(base.scores[key])
            | {"effects": sorted(found, key=_size, reverse=True)}
            for key, found in effects.items()
        },
        "not_tried": missing + skipped,
    }


def _describe_score(score: Score) -> dict[str, Any]:
    return {
        "label": label_of(score),
        "unit": score.unit,
        "best": score.best,
        "value": score.value,
        "interval": score.interval,
        "n": score.n,
    }


def _values(key: str, report: Report) -> dict[str, float]:
    found = {item["name"]: value_of(item, key) for item in report.items}
    return {name: v for name, v in found.items() if v is not None and math.isfinite(v)}


def _size(effect: Mapping[str, Any]) -> float:
    return abs(effect["effect"]) if effect["effect"] is not None else -1.0
