"""How a distance falls with the number of sounds: its limit, from a line over one in N."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.feature_frechet import frechet_from_features
from evaluation.metrics.frechet_resampling import make_resampler
from evaluation.metrics.sample_bias import FEWEST_UNITS

RECIPES = ("both", "fadtk")
FEWEST_SHARE = 0.25  # of the clips, in the smallest subset of the recipe "both"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The straight line value = limit + slope / n, and how well it fits."""

    limit: float  # the value without end of data
    slope: float
    r2: float  # share of the variance explained; NaN if the values do not vary


def fit_line(counts: Sequence[float], values: Sequence[float]) -> Line:
    """Fit value = limit + slope / count by least squares.

    Raises:
        ValueError: with fewer than two different counts, or a value that is not finite.

    >>> fit_line([1, 2, 4], [9.0, 5.0, 3.0])
    Line(limit=1.0, slope=8.0, r2=1.0)
    """
    x, y = 1 / np.asarray(counts, dtype=float), np.asarray(values, dtype=float)
    if len(np.unique(x)) < 2 or not np.isfinite(y).all():
        raise ValueError(f"a line needs finite values at two or more counts, got {counts}")
    slope, limit = np.polynomial.Polynomial.fit(x, y, 1).convert().coef[::-1]
    spread = ((y - y.mean()) ** 2).sum()
    rest = ((y - limit - slope * x) ** 2).sum()
    r2 = 1 - rest / spread if spread > 0 else np.nan
    return Line(limit=_tidy(limit), slope=_tidy(slope), r2=_tidy(r2))


def frechet_infinity(
    reference: Sequence[Tensor],
    generated: Sequence[Tensor],
    *,
    recipe: str = "both",
    points: int = 25,
    fewest: int = 500,
    rng: np.random.Generator,
) -> Line:
    """Frechet distance in the limit of sounds without end.

    Args:
        reference: float [n, D] embeddings per clip.
        generated: likewise; the two sides may have different numbers of clips.
        recipe: "both" draws clips of both sides without replacement, from a quarter of them to
            all. "fadtk" draws windows of the generated side alone, with replacement, and holds them
            against all references: its limit is the distance of the generated set as it is, bias
            of the references and of that set included.
        points: how many subsets are drawn.
        fewest: windows in the smallest subset of "fadtk".
        rng: the source of the draws; used up to `points` (fadtk) or twice (both) as many times.

    Raises:
        ValueError: if an option is unknown, or there are too few clips or windows.

    Source: Gui et al. 2023 (arXiv:2311.01616), after Chong and Forsyth 2020 (arXiv:1911.07023).
    """
    check_recipe(recipe, points, fewest)
    if recipe == "fadtk":
        return _by_windows(reference, generated, points, fewest, rng)
    clips = min(len(reference), len(generated))
    if clips < FEWEST_UNITS:
        raise ValueError(f"an extrapolation needs {FEWEST_UNITS} or more clips, got {clips}")
    resampler = make_resampler(reference, generated)
    units = np.array(resampler.units)
    shares = np.linspace(FEWEST_SHARE, 1.0, points)
    sizes = (shares[:, None] * units).round().astype(int)
    counts = [
        np.stack([subset(size, total, rng) for size in sizes[:, side]])
        for side, total in enumerate(units)
    ]
    values = resampler.distances(*counts)
    # Both sides shrink by one share, so either's size will do for x; the slope is per clip.
    taken = len(generated) * sizes[:, 1] / units[1]
    return fit_line(taken.tolist(), values.tolist())


def subset(size: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``size`` of ``total`` without replacement: int64 [total] counts of zero and one."""
    counts = np.zeros(total, dtype=np.int64)
    counts[rng.permutation(total)[:size]] = 1
    return counts


def check_recipe(recipe: str, points: int, fewest: int) -> None:
    """Check the options of `frechet_infinity`.

    Raises:
        ValueError: if one is unknown or out of range.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    if points < 3:
        raise ValueError(f"points must be at least 3, got {points}")
    if fewest < 2:
        raise ValueError(f"fewest must be at least 2 windows, got {fewest}")


def _by_windows(
    reference: Sequence[Tensor],
    generated: Sequence[Tensor],
    points: int,
    fewest: int,
    rng: np.random.Generator,
) -> Line:
    count = sum(map(len, generated))
    if count <= fewest:
        raise ValueError(
            f"the recipe fadtk draws from {fewest} windows up, there are {count}: "
            "generate more sounds, or lower the card's fewest"
        )
    whole, windows = torch.cat(list(reference)), torch.cat(list(generated))
    sizes = np.linspace(fewest, len(windows), points).astype(int).tolist()
    values = [
        float(frechet_from_features(whole, windows[rng.integers(0, len(windows), size)]))
        for size in sizes
    ]
    return fit_line(sizes, values)


def _tidy(value: float) -> float:
    return float(np.round(value, 12))
