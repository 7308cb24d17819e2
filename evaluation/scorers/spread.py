"""Interval and small-sample bias of a Frechet distance, as a report has them."""

from typing import Any

import numpy as np

from evaluation.metrics.extrapolation import LINEAR, Bias, small_sample_bias
from evaluation.metrics.frechet_resampling import Resampler, affordable
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


def bias_of(resampler: Resampler, seed: int) -> dict[str, Any] | None:
    """Return the small-sample bias for the report, None if it cannot be estimated."""
    bias = small_sample_bias(resampler, rng=np.random.default_rng(seed))
    if bias is None:
        return None
    return {
        "estimate": bias.estimate,
        "without": bias.limit,
        "steepening": bias.steepening,
        "linear": bias.linear,
        "method": f"1/N from halves{_caveat(bias)}",
    }


def _caveat(bias: Bias) -> str:
    if bias.linear:
        return ""
    if bias.steepening < LINEAR[0]:
        return "; it falls more slowly than 1/N here, so this is a lower bound"
    return "; rough, of so few clips"
