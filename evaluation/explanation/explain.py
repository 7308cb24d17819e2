"""What each choice of a protocol does to the scores of somebody's own sounds.

The same sounds are scored once as the card says, then with one choice at a time made otherwise.
Features that a choice does not touch come from the cache.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evaluation.catalog import METRICS
from evaluation.explanation.effect import effect_of
from evaluation.explanation.sounds import Sounds, drawn_clips, quick_card, score_each
from evaluation.explanation.switches import Switch, list_switches
from evaluation.explanation.way import affected, only_in, walk_toward
from evaluation.progress import bar
from evaluation.protocols.card import ProtocolCard
from evaluation.protocols.path import walk
from evaluation.reports.report import Report, Score
from evaluation.reports.tables import is_stand_in, label_of

__all__ = ["Sounds", "affected", "explain"]

NOT_COMPUTED = "it changes {} alone, not computed here"


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
        JSON values: per metric the value with interval, the effects, the largest first, the
        switches that do not apply to it, and what half of the clips gives, which is no choice; the
        switches that could not be tried, with why; and the way toward the other card. Only the
        metrics that were asked for are spoken of.

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
                way |= only_in(card, toward, metrics)
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
) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Return the effects by metric, and the switches that could not be tried."""
    effects = {key: _nothing_yet() for key in keys}
    skipped = []
    asked = [*keys, *(key for key in base.not_computed if key in METRICS)]
    for switch in switches:
        about = {"switch": switch.name, "change": switch.change}
        moved = _moved(card, switch, asked)
        wanted = [key for key in moved if key in keys]
        found, reasons = _try_switch(sounds, card, switch, base, wanted)
        if moved and not wanted:
            reasons = [NOT_COMPUTED.format(", ".join(moved))]
        for key, own in effects.items():
            if key in found and switch.share < 1:
                own["half_of_the_clips"] = about | effect_of(key, base, found[key])
            elif key in found:
                own["effects"].append(about | effect_of(key, base, found[key]))
            elif switch.card is not None and key not in wanted:
                own["does_not_apply"].append(about)
        skipped += [about | {"reason": reason} for reason in reasons]
        shown.update()
    return effects, skipped


def _nothing_yet() -> dict[str, Any]:
    """Return what is told of a metric: choices of the card, and what is none of them."""
    return {"effects": [], "does_not_apply": [], "half_of_the_clips": None}


def _moved(card: ProtocolCard, switch: Switch, keys: Sequence[str]) -> list[str]:
    """Return the metrics to which a switch applies; all of them see another number of clips."""
    if switch.card is None:
        return []
    return list(keys) if switch.share < 1 else affected(card, switch.card, keys)


def _try_switch(
    sounds: Sounds, card: ProtocolCard, switch: Switch, base: Report, wanted: Sequence[str]
) -> tuple[dict[str, Report], list[str]]:
    """Score the metrics that a switch moves; one that cannot be scored does not hide the others.

    Networks of the switch go when it is done; those of the card stay for the next one.
    """
    if switch.card is None:
        return {}, [switch.problem or "the changed card is none"]
    if not wanted:
        return {}, []
    count = round(switch.share * base.data["pairs"]) if switch.share < 1 else None
    try:
        with drawn_clips(sounds.aside(), card, count) as taken:
            return score_each(taken, quick_card(switch.card), wanted)
    except ValueError as error:
        return {}, [str(error)]


def _describe(
    card: ProtocolCard,
    base: Report,
    effects: Mapping[str, dict[str, Any]],
    skipped: list[dict[str, str]],
) -> dict[str, Any]:
    """Return what was found, as JSON values."""
    missing = [{"switch": key, "change": "", "reason": r} for key, r in base.not_computed.items()]
    return {
        "protocol": {"name": card.name, "version": card.version, "title": base.card_title()},
        "pairs": base.data["pairs"],
        "references": base.data["reference"]["sha256"],
        "interval": base.interval_title(),
        "stand_in": any(is_stand_in(base.scores[key]) for key in effects),
        "scores": {
            key: _describe_score(base.scores[key])
            | found
            | {"effects": sorted(found["effects"], key=_size, reverse=True)}
            for key, found in effects.items()
        },
        "not_tried": missing + skipped,
    }


def _describe_score(score: Score) -> dict[str, Any]:
    return {
        "label": label_of(score),
        "unit": score.unit,
        "best": score.best,
        "stand_in": is_stand_in(score),
        "value": score.value,
        "interval": score.interval,
        "n": score.n,
    }


def _size(effect: Mapping[str, Any]) -> float:
    return abs(effect["effect"]) if effect["effect"] is not None else -1.0
