"""Confidence intervals by resampling clips: windows of one clip are not independent."""

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import bootstrap

from evaluation.protocols.card import Bootstrap

FEWEST_CLIPS = 8  # below this a bootstrap says more about itself than about the data

Statistic = Callable[[np.ndarray], float]


def too_few_resamples(resamples: int, confidence: float) -> str | None:
    """Say that resamples are too few to have ends: one at least belongs beyond each of them.

    >>> too_few_resamples(39, 0.95)
    '39 resamples are too few for a 95% interval, which takes 40 or more'
    """
    least = math.ceil(2 / (1 - confidence) - 1e-9)
    if resamples >= least:
        return None
    return (
        f"{resamples} resamples are too few for a {100 * confidence:.4g}% interval, "
        f"which takes {least} or more"
    )


def clip_interval(
    num_clips: int, statistic: Statistic, *, settings: Bootstrap, method: str
) -> tuple[float, float] | None:
    """Bootstrap interval of a statistic over clips.

    Args:
        num_clips: how many clips there are.
        statistic: maps int64 [num_clips] indices of clips, drawn with replacement, to a value.
        settings: resamples, confidence and seed; the same seed gives the same interval.
        method: "percentile"; or "basic" for one that is reflected about the value.

    Returns:
        the two ends; None with fewer than `FEWEST_CLIPS` clips, with too few resamples for the
        confidence, or if the value is not finite.
    """
    few = too_few_resamples(settings.resamples, settings.confidence) is not None
    if few or num_clips < FEWEST_CLIPS or not np.isfinite(statistic(np.arange(num_clips))):
        return None
    result = bootstrap(
        (np.arange(num_clips),),
        statistic,
        vectorized=False,
        n_resamples=settings.resamples,
        confidence_level=settings.confidence,
        method=method,
        rng=np.random.default_rng(settings.seed),
    )
    low, high = map(float, result.confidence_interval)
    return (low, high) if np.isfinite([low, high]).all() else None
