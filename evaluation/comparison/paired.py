"""The difference of two systems on the same clips: how large, how sure, and with how many clips.

Clips are resampled for both systems at once, so what makes a clip hard for both cancels, and the
interval of a difference is far narrower than those of the two scores suggest.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from evaluation.protocols.card import Bootstrap
from evaluation.scorers.interval import FEWEST_CLIPS, too_few_resamples
from evaluation.scorers.resampling import (
    Interval,
    draw_counts,
    percentile_interval,
    spread_interval,
)

WHOLE_SETS = (
    "interval from joint resamples of the features of both: where the mean of this difference over "
    "sets of this N lies"
)
POWER = 0.8  # chance to see a difference of this size that `clips_needed` asks for
CENTERS: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much a score of system b is above that of system a."""

    value: float | None  # b - a; None if one of them does not exist
    interval: Interval | None
    method: str  # what the interval comes from, or why there is none
    n: int  # clips that both have
    resolved: bool | None  # whether the interval leaves out zero; None without an interval
    clips_needed: int | None  # to see a difference of this size; None without an interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def compare_values(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    difference: float | None,
    statistic: str,
    settings: Bootstrap,
) -> Difference:
    """Compare a score that is the mean or median of a value per clip.

    Args:
        a: finite values of system a by clip.
        b: those of system b.
        difference: of the two scores; None if one does not exist. Of systems without the same
            clips it is that of the clips which both have.
        statistic: "mean" or "median".
        settings: how clips are drawn.
    """
    names = sorted(a.keys() & b.keys())
    few = too_few_clips(len(names), what="clips of which both have a value")
    if difference is None:
        return without_interval(None, "", n=len(names))
    if few is not None:
        return without_interval(difference, few, n=len(names))
    pairs = np.array([[a[name], b[name]] for name in names])
    draws = _draws(pairs, statistic, settings)
    interval = percentile_interval(draws, settings.confidence)
    center = CENTERS[statistic]
    plain = float(center(pairs[:, 1]) - center(pairs[:, 0]))
    where = "over clips"
    if a.keys() != b.keys():  # the scores are of other clips too: only those of both compare
        difference, where = plain, f"over the {len(names)} clips of both, as is the difference"
    elif interval is not None:  # laid around the difference of the scores, should items weigh more
        interval = (interval[0] + difference - plain, interval[1] + difference - plain)
    return with_interval(
        difference,
        interval,
        f"interval from a paired bootstrap of the {statistic} {where}",
        len(names),
        settings,
    )


def compare_draws(
    difference: float, draws: np.ndarray, *, n: int, settings: Bootstrap
) -> Difference:
    """Compare a score of a whole set, from its differences under the same resamples of clips.

    The interval is where the mean of the difference over sets of this N lies.

    Args:
        difference: of the two scores.
        draws: float64 [R], b - a under each resample.
        n: clips.
        settings: the share that the interval holds.
    """
    interval = spread_interval(difference, draws, settings.confidence)
    return with_interval(difference, interval, WHOLE_SETS, n, settings)


def too_few_clips(clips: int, *, what: str = "clips") -> str | None:
    """Say that clips are too few for any interval: below the number that single scores need.

    >>> too_few_clips(2), too_few_clips(8)
    ('no interval below 8 clips', None)
    """
    return f"no interval below {FEWEST_CLIPS} {what}" if clips < FEWEST_CLIPS else None


def with_interval(
    difference: float, interval: Interval | None, method: str, n: int, settings: Bootstrap
) -> Difference:
    """Return a difference with what its interval says."""
    few = too_few_resamples(settings.resamples, settings.confidence)
    if interval is None and few is not None:
        return without_interval(difference, few, n=n)
    if interval is None:
        return without_interval(difference, "most resamples have no value", n=n)
    return Difference(
        value=difference,
        interval=interval,
        method=method,
        n=n,
        resolved=not interval[0] <= 0 <= interval[1],
        clips_needed=clips_needed(difference, interval, n=n, confidence=settings.confidence),
    )


def without_interval(difference: float | None, reason: str, *, n: int) -> Difference:
    """Return a difference of which nothing more is known, and why."""
    reason = reason or "one of the two has no value"
    return Difference(
        value=difference, interval=None, method=reason, n=n, resolved=None, clips_needed=None
    )


def clips_needed(difference: float, interval: Interval, *, n: int, confidence: float) -> int | None:
    """Return with how many clips a difference of this size would be seen 8 times out of 10.

    Args:
        difference: as if it were the true one.
        interval: of that difference, over ``n`` clips; its width shrinks as 1 / sqrt(n).
        n: clips.
        confidence: of the interval.

    Returns:
        at least the fewest that have an interval; None for no difference at all.

    >>> clips_needed(1.0, (-0.4, 2.4), n=100, confidence=0.95)
    401
    """
    half = (interval[1] - interval[0]) / 2
    if difference == 0 or not math.isfinite(half):
        return None
    normal = NormalDist()
    edge = normal.inv_cdf((1 + confidence) / 2)
    factor = (edge + normal.inv_cdf(POWER)) / edge
    return max(FEWEST_CLIPS, math.ceil(n * (factor * half / difference) ** 2))


def _draws(pairs: np.ndarray, statistic: str, settings: Bootstrap) -> np.ndarray:
    """Return b - a under each resample of clips, float64 [R]."""
    counts = draw_counts(len(pairs), settings)
    if statistic == "mean":
        return counts @ (pairs[:, 1] - pairs[:, 0]) / len(pairs)
    draws = []
    for row in counts:
        a, b = np.median(np.repeat(pairs, row, axis=0), axis=0)
        draws.append(b - a)
    return np.array(draws)
