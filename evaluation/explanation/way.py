"""The way from one protocol card to another, field by field, and what each step does to scores."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from evaluation.catalog import METRICS
from evaluation.explanation.effect import difference
from evaluation.explanation.sounds import Sounds, quick_card, score_each
from evaluation.protocols.card import ProtocolCard
from evaluation.protocols.path import shared_metrics
from evaluation.protocols.title import card_title
from evaluation.reports.tables import is_stand_in

WHOLE_FIELDS = ("min_duration", "silence", "length", "test_list")


def affected(card: ProtocolCard, changed: ProtocolCard, keys: Sequence[str]) -> list[str]:
    """Return the metrics whose value another card may change: those that see what differs."""
    if any(getattr(card, name) != getattr(changed, name) for name in WHOLE_FIELDS):
        return list(keys)
    return [key for key in keys if _seen(card, key) != _seen(changed, key)]


def _seen(card: ProtocolCard, key: str) -> list[Any]:
    """Return all of a card that reaches a metric, but for the fields that all metrics see."""
    content, info = card.to_dict(), METRICS[key]
    own = content["metrics"][key]
    captions = content["captions"] if info.needs_captions else None
    if info.kind is None:  # the files themselves: before the steps for generated sounds
        return [own, captions, card.input_steps().identity(), card.resampler]
    features = content["features"][own["features"]]
    return [
        {name: value for name, value in own.items() if name != "features"},
        captions,
        card.generated_steps().identity(),
        card.input_steps(own["features"]).identity(),
        {name: value for name, value in features.items() if name != "input"},
    ]


def walk_toward(
    sounds: Sounds,
    card: ProtocolCard,
    toward: ProtocolCard,
    stops: Sequence[Any],
    keys: Sequence[str],
    bar: Any,
) -> dict[str, Any]:
    """Score every stop on the way to another card."""
    common = [key for key in shared_metrics(card, toward) if key in keys]
    ways: dict[str, list[dict[str, Any]]] = {key: [] for key in common}
    last: dict[str, float] = {}
    for before, stop in pairwise([stops[0], *stops]):
        moved = affected(before.card, stop.card, common) if last else common
        found, reasons = score_each(sounds, quick_card(stop.card), moved) if moved else ({}, [])
        for key in moved:
            change = stop.whole or stop.own.get(key) or f"as {card_title(card.to_dict())} says"
            value = found[key].scores[key].value if key in found else math.nan
            step = difference(last[key], value) if key in last else 0.0
            why = next((text for text in reasons if text.startswith(f"{key}: ")), None)
            ways[key].append(
                {
                    "change": change,
                    "value": value if math.isfinite(value) else None,
                    "effect": step,
                    "stand_in": key in found and is_stand_in(found[key].scores[key]),
                    "reason": why,
                }
            )
            last[key] = value
        bar.update()
    return {
        "protocol": {
            "name": toward.name,
            "version": toward.version,
            "title": card_title(toward.to_dict()),
        },
        "scores": ways,
    }


def only_in(
    card: ProtocolCard, toward: ProtocolCard, metrics: Sequence[str] | None
) -> dict[str, list[str]]:
    """Return the metrics that one card alone has, of those that were asked for; None is all."""

    def missing(own: ProtocolCard, other: ProtocolCard) -> list[str]:
        asked = own.metrics if metrics is None else metrics
        return [key for key in own.metrics if key in asked and key not in other.metrics]

    return {"only_in_start": missing(card, toward), "only_in_goal": missing(toward, card)}
