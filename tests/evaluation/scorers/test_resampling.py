"""Intervals of scores of sets: they hold what they say as often as they say, and end at bounds."""

import numpy as np
import pytest
import torch

from evaluation.metrics.frechet_resampling import make_resampler
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.interval import clip_interval
from evaluation.scorers.resampling import (
    cut_below,
    draw_counts,
    percentile_interval,
    spread_interval,
)
from evaluation.scorers.spread import spread
from tests.evaluation.scorers.test_features import ALL, build, features

CLIPS, DIM, SETS = 30, 4, 100
LEAST = 0.885  # of 100 intervals of 95 %: three standard deviations below


def clips(rng, *, skew, shift):
    """Two windows a clip, which share a level; that of skewed clips is far above zero in a few."""
    level = rng.standard_normal((CLIPS, 1, DIM)) + skew * (rng.gamma(1, 1, (CLIPS, 1, 1)) - 1)
    rows = level + shift + 0.4 * rng.standard_normal((CLIPS, 2, DIM))
    return list(torch.tensor(rows * np.exp(-np.arange(DIM))))  # few dimensions hold most of it


def coverage(*, skew, difference):
    """Return the share of intervals that hold the mean of the score over all sets."""
    rng, values, intervals = np.random.default_rng(7), [], []
    ones = np.ones((1, CLIPS), dtype=int)
    for number in range(SETS):
        counts = draw_counts(CLIPS, Bootstrap(resamples=80, confidence=0.95, seed=number))
        reference = clips(rng, skew=skew, shift=0.0)
        shifts = (0.5, 0.8) if difference else (0.5,)
        systems = [make_resampler(reference, clips(rng, skew=skew, shift=s)) for s in shifts]
        value, draws = (
            systems[-1].distances(c, c) - (systems[0].distances(c, c) if difference else 0)
            for c in (ones, counts)
        )
        values.append(float(value[0]))
        intervals.append(spread_interval(values[-1], draws, 0.95))
    mean = np.mean(values)
    return np.mean([low <= mean <= high for low, high in intervals])


@pytest.mark.parametrize(("skew", "difference"), [(0.0, False), (2.0, False), (2.0, True)])
def test_the_interval_holds_the_mean_of_such_sets_as_often_as_it_says(skew, difference):
    assert coverage(skew=skew, difference=difference) >= LEAST


def test_a_lower_end_at_the_bound_of_a_score_is_said_to_be_cut():
    assert cut_below((-1.0, 2.0), 0.0) == ((0.0, 2.0), {"interval_cut": 0.0})
    assert cut_below((0.5, 2.0), 0.0) == ((0.5, 2.0), {})
    assert cut_below(None, 0.0) == (None, {})
    skewed = features(clips=8, windows=2, dim=2, shift=0.0, seed=3)
    score, _ = build(ALL[0]).score(skewed, Bootstrap(resamples=100, confidence=0.95, seed=0))
    assert score.interval[0] == score.details["interval_cut"] == 0


def test_too_few_resamples_have_no_ends():
    """Of 39 the outermost are inside of where the ends of 95 % are."""
    values = np.random.default_rng(0).normal(size=400)
    for count, some in ((1, False), (2, False), (39, False), (40, True)):
        settings = Bootstrap(resamples=count, confidence=0.95, seed=0)
        found = clip_interval(
            400, lambda i: values[i].mean(), settings=settings, method="percentile"
        )
        assert (found is not None) == some
        assert (percentile_interval(values[:count], 0.95) is not None) == some
        resampler = make_resampler(*[[torch.randn(2, 3) for _ in range(9)] for _ in range(2)])
        ends, how = spread(resampler, 1.0, 9, settings)
        assert (ends is not None) == some
        assert how.get("no_interval") == (
            None
            if some
            else f"{count} resamples are too few for a 95% interval, which takes 40 or more"
        )
