"""Numbers of a report that cannot belong together: it was changed by hand, or put together."""

import math
from collections.abc import Iterator
from statistics import fmean, median
from typing import TYPE_CHECKING

from evaluation.catalog import METRICS
from evaluation.reports.shape import each_score
from evaluation.reports.tables import value_of
from evaluation.scorers.score import Score

if TYPE_CHECKING:
    from evaluation.reports.report import Report

ROUNDING = 1e-9  # of the largest number in a sum
FEWEST_DRAWS = 20  # of fewer resamples an interval may miss the value by chance


def check_numbers(report: "Report") -> None:
    """Refuse a report with a score that its own interval, or its own clips, speak against.

    Raises:
        ValueError: naming the field, what it says and what belongs there.
    """
    settings = report.protocol["bootstrap"]
    for where, score in each_score(report):
        draws = score.details.get("interval_resamples") or settings["resamples"]
        if draws >= FEWEST_DRAWS:
            _check_interval(score, where)
    for key, score in report.scores.items():
        values = list(_finite(report, key))
        if values and key in METRICS and math.isfinite(score.value):
            _check_center(score, values, f"scores.{key}")


def _check_interval(score: Score, where: str) -> None:
    if score.interval is None or not math.isfinite(score.value):
        return
    low, high = score.interval
    slack = ROUNDING * max(map(abs, (low, high, score.value)))
    if not low - slack <= score.value <= high + slack:
        raise ValueError(
            f"{where}.value is {score.value!r}, its interval is [{low!r}, {high!r}]: the value of "
            "a score lies within its own interval"
        )


def _check_center(score: Score, values: list[float], where: str) -> None:
    """Hold a score against its clips: their mean or median, or where some weigh more, their span.

    Raises:
        ValueError: naming the score.
    """
    statistic = score.details.get("statistic")
    slack = ROUNDING * max(map(abs, values))
    weighs_alike = METRICS[score.name].kind is None or score.details.get("items") == len(values)
    if statistic == "mean" and not weighs_alike:
        if not min(values) - slack <= score.value <= max(values) + slack:
            raise ValueError(
                f"{where}.value is {score.value!r}, the values of its clips lie between "
                f"{min(values)!r} and {max(values)!r}"
            )
    elif statistic in ("mean", "median"):
        center = (fmean if statistic == "mean" else median)(values)
        if abs(center - score.value) > slack:
            raise ValueError(
                f"{where}.value is {score.value!r}, the {statistic} of the values of its "
                f"{len(values)} clips is {center!r}"
            )


def _finite(report: "Report", key: str) -> Iterator[float]:
    for item in report.items:
        value = value_of(item, key)
        if value is not None and math.isfinite(value):
            yield value
