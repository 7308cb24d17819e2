"""Interval and small-sample bias of a Frechet distance, as a report has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.metrics.frechet_resampling import Resampler, affordable
from evaluation.metrics.sample_bias import FEWEST_CLIPS as FEWEST_FOR_BIAS
from evaluation.metrics.sample_bias import falls_otherwise, small_sample_bias
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.interval import too_few_resamples
from evaluation.scorers.resampling import (
    FEWEST_CLIPS,
    Interval,
    cut_below,
    draw_counts,
    spread_interval,
)
from evaluation.scorers.sets import interval_text


def spread(
    resampler: Resampler,
    value: float,
    clips: int,
    settings: Bootstrap,
    *,
    lowest: float = 0.0,
) -> tuple[Interval | None, dict[str, Any]]:
    """Return the interval around a distance, and how it was drawn or why there is none.

    It is cut at ``lowest``, which the details then say.
    """
    units = min(resampler.units)
    if clips < FEWEST_CLIPS:
        return None, {}
    resamples = affordable(resampler, settings.resamples)
    few = too_few_resamples(resamples, settings.confidence)
    if few is not None:
        return None, {"no_interval": few}
    counts = draw_counts(units, settings, resamples=resamples)
    ends = spread_interval(value, resampler.distances(counts, counts), settings.confidence)
    ends, cut = cut_below(ends, lowest)
    if ends is None:
        return None, {}
    return ends, interval_text(len(counts), units, clips) | cut


def bias_of(
    resampler: Resampler, value: float, windows: Sequence[Sequence[int]], settings: Bootstrap
) -> dict[str, Any]:
    """Return the small-sample bias for the report, or why there is none to rely on.

    Args:
        resampler: of both sides.
        value: the distance.
        windows: of every clip, per side.
        settings: confidence and seed.
    """
    method = "jackknife over clips"
    reason = _too_few(windows) or falls_otherwise(
        resampler, rng=np.random.default_rng(settings.seed)
    )
    if reason is not None:
        return {"estimate": None, "reason": reason, "method": method}
    bias = small_sample_bias(
        resampler, confidence=settings.confidence, rng=np.random.default_rng(settings.seed)
    )
    if bias is None:
        return {"estimate": None, "reason": "it cannot be told from none", "method": method}
    ends = {"low": bias.low, "high": bias.high}
    if bias.estimate >= value:
        reason = (
            f"about {bias.estimate:.3g}, no less than the value itself, which may be all chance"
        )
        return {"estimate": None, "reason": reason, "method": method} | ends
    return {
        "estimate": bias.estimate,
        **ends,
        "without": float(value - bias.estimate),
        "method": method,
    }


def _too_few(windows: Sequence[Sequence[int]]) -> str | None:
    """Say that clips are too few, or so unequal that they count as too few."""
    clips = min(sum(count > 0 for count in side) for side in windows)
    if clips < FEWEST_FOR_BIAS:
        return f"fewer than {FEWEST_FOR_BIAS} clips"
    sides = [np.asarray(side, dtype=float) for side in windows]
    worth = min(float(side.sum() ** 2 / (side**2).sum()) for side in sides)
    if worth < FEWEST_FOR_BIAS:
        return (
            f"the clips have so unequal numbers of windows that they are worth {worth:.0f}, fewer "
            f"than {FEWEST_FOR_BIAS}"
        )
    return None
