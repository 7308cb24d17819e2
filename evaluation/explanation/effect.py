"""What a choice made otherwise did to a metric."""

import math
from typing import Any

from evaluation.reports.report import Report, Score
from evaluation.reports.tables import value_of

ROUNDING = 1e-12  # of the larger value; a difference below it is none


def effect_of(key: str, base: Report, report: Report) -> dict[str, Any]:
    """Return what a switch did to a metric, with the interval of that where clips have values."""
    from evaluation.comparison.paired import CENTERS, compare_values, without_interval
    from evaluation.protocols.card import Bootstrap

    before, after = base.scores[key], report.scores[key]
    change = difference(before.value, after.value)
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


def difference(before: float, after: float) -> float | None:
    """Return after - before, zero where it is rounding alone; None where one does not exist.

    >>> difference(1.85, 1.85 + 4e-16), difference(2.0, 2.5)
    (0.0, 0.5)
    """
    change = after - before
    if not math.isfinite(change):
        return None
    return 0.0 if abs(change) <= ROUNDING * max(abs(before), abs(after)) else change


def _beyond(before: Score, value: float) -> bool | None:
    """Tell whether a changed value lies outside of the interval of the score."""
    if before.interval is None or not math.isfinite(value):
        return None
    return not before.interval[0] <= value <= before.interval[1]


def _values(key: str, report: Report) -> dict[str, float]:
    found = {item["name"]: value_of(item, key) for item in report.items}
    return {name: v for name, v in found.items() if v is not None and math.isfinite(v)}
