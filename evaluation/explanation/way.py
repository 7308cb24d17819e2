"""The way from one protocol card to another, field by field, and what each step does to scores."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from evaluation.explanation.sounds import Sounds, quick_card, score_each
from evaluation.protocols.card import ProtocolCard
from evaluation.protocols.path import shared_metrics
from evaluation.protocols.title import card_title

WHOLE_FIELDS = ("min_duration", "silence", "length", "captions", "test_list", "generated")
PAIR_FIELDS = ("resampler", "input")  # of metrics measured on waveforms


def affected(card: ProtocolCard, changed: ProtocolCard, keys: Sequence[str]) -> list[str]:
    """Return the metrics whose value another card may change."""
    a, b = card.to_dict(), changed.to_dict()
    if any(a[name] != b[name] for name in WHOLE_FIELDS):
        return list(keys)
    pairs_differ = any(a[name] != b[name] for name in PAIR_FIELDS)
    found = []
    for key in keys:
        name = a["metrics"][key].get("features")
        other = b["metrics"][key].get("features")
        own = pairs_differ if name is None else a["features"][name] != b["features"][other]
        if own or a["metrics"][key] != b["metrics"][key]:
            found.append(key)
    return found


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
            step = value - last[key] if key in last else 0.0
            why = next((text for text in reasons if text.startswith(f"{key}: ")), None)
            ways[key].append(
                {
                    "change": change,
                    "value": value if math.isfinite(value) else None,
                    "effect": step if math.isfinite(step) else None,
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
        "only_in_start": [key for key in card.metrics if key not in toward.metrics],
        "only_in_goal": [key for key in toward.metrics if key not in card.metrics],
    }
