"""Resamples of clips as counts, and intervals from the scores they give."""

import numpy as np

from evaluation.protocols.card import Bootstrap
from evaluation.scorers.interval import FEWEST_CLIPS, too_few_resamples

__all__ = ["FEWEST_CLIPS", "cut_below", "draw_counts", "percentile_interval", "spread_interval"]

Interval = tuple[float, float]


def draw_counts(clips: int, settings: Bootstrap, *, resamples: int | None = None) -> np.ndarray:
    """Draw resamples of clips with replacement.

    Args:
        clips: how many there are.
        settings: resamples and seed; the same seed gives the same draws.
        resamples: fewer than the settings say, where each costs much.

    Returns:
        int64 [R, clips], how often each clip is in a resample; the rows sum to ``clips``.
    """
    count = settings.resamples if resamples is None else min(resamples, settings.resamples)
    rng = np.random.default_rng(settings.seed)
    return rng.multinomial(clips, np.full(clips, 1 / clips), size=count)


def percentile_interval(draws: np.ndarray, confidence: float) -> Interval | None:
    """Interval of a score without bias: the middle share of its resamples.

    Args:
        draws: float64 [R]; those that are not finite are left out.
        confidence: the share, in (0, 1).

    Returns:
        the two ends; None if half of the draws or more are not finite, or they are too few.
    """
    if too_few_resamples(len(draws), confidence) is not None:
        return None
    finite = draws[np.isfinite(draws)]
    if 2 * len(finite) <= len(draws):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def cut_below(interval: Interval | None, lowest: float) -> tuple[Interval | None, dict[str, float]]:
    """Cut an interval at a bound of the score.

    Returns:
        the interval; and where it was cut, for the details of the score: nothing if it was not.
    """
    if interval is None or interval[0] >= lowest:
        return interval, {}
    return (lowest, max(lowest, interval[1])), {"interval_cut": lowest}


def spread_interval(value: float, draws: np.ndarray, confidence: float) -> Interval | None:
    """Interval of a score that moves when clips repeat, such as a Frechet distance.

    Where the mean of the score over sets of as many clips lies: the deviations of the resamples
    from their own mean, laid around the value. The shift of that mean, which is the bias once more
    and with fewer embeddings than dimensions much more, stays out of it. The deviations are not
    reflected about the value: such a score is skewed to the right, and so are its resamples.

    Args:
        value: the score of all clips.
        draws: float64 [R], of the resamples.
        confidence: the share, in (0, 1).
    """
    ends = percentile_interval(draws, confidence)
    if ends is None or not np.isfinite(value):
        return None
    center = float(draws[np.isfinite(draws)].mean())
    return value + ends[0] - center, value + ends[1] - center
