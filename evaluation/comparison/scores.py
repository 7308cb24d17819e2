"""One metric of several reports: the values, and the difference of every two of them."""

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from evaluation.comparison.features import joint_draws
from evaluation.comparison.paired import (
    CENTERS,
    Difference,
    compare_draws,
    compare_values,
    too_few_clips,
    without_interval,
)
from evaluation.protocols.card import Bootstrap
from evaluation.reports.report import Report, Score
from evaluation.reports.tables import is_stand_in, label_of, value_of

NOT_ALIKE = "random weights against trained ones: never compared"


def compare_score(key: str, reports: Mapping[str, Report], *, cache: Path | None) -> dict[str, Any]:
    """Return the values of a metric by report, and the differences, as JSON values.

    Args:
        key: of a metric that all reports have.
        reports: by name; the first is what the others are held against in tables.
        cache: folder of features, for scores of whole sets.
    """
    first = next(iter(reports.values())).scores[key]
    scores = {name: report.scores[key] for name, report in reports.items()}
    marked = next((s for s in scores.values() if is_stand_in(s)), first)
    return {
        "label": label_of(marked),
        "unit": first.unit,
        "best": first.best,
        "stand_in": is_stand_in(marked),
        "values": {
            name: {
                "value": _finite(score),
                "interval": score.interval,
                "n": score.n,
                "stand_in": is_stand_in(score),
            }
            for name, score in scores.items()
        },
        "differences": [
            {"a": a, "b": b} | _difference(key, reports[a], reports[b], cache).to_dict()
            for a, b in combinations(reports, 2)
        ],
    }


def _difference(key: str, a: Report, b: Report, cache: Path | None) -> Difference:
    ours, theirs = a.scores[key], b.scores[key]
    if is_stand_in(ours) != is_stand_in(theirs):
        return without_interval(None, NOT_ALIKE, n=0)
    values = _finite(ours), _finite(theirs)
    count = min(ours.n, theirs.n)
    if values[0] is None or values[1] is None:
        return without_interval(None, "", n=count)
    difference, settings = values[1] - values[0], Bootstrap(**a.protocol["bootstrap"])
    reason = ours.details.get("no_interval") or theirs.details.get("no_interval")
    if reason:
        return without_interval(difference, f"no interval: {reason}", n=count)
    statistic = ours.details.get("statistic")
    if statistic in CENTERS and statistic == theirs.details.get("statistic"):
        return compare_values(
            _values(key, a),
            _values(key, b),
            difference=difference,
            statistic=statistic,
            settings=settings,
        )
    few = too_few_clips(count)
    if few is not None:
        return without_interval(difference, few, n=count)
    draws = joint_draws(key, a, b, cache=cache)
    if isinstance(draws, str):
        return without_interval(difference, f"no interval: {draws}", n=count)
    return compare_draws(difference, draws, n=count, settings=settings)


def _values(key: str, report: Report) -> dict[str, float]:
    """Return the finite values of clips."""
    values = {item["name"]: value_of(item, key) for item in report.items}
    return {name: v for name, v in values.items() if v is not None and math.isfinite(v)}


def _finite(score: Score) -> float | None:
    return score.value if math.isfinite(score.value) else None
