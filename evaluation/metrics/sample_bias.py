"""How much of a Frechet distance is owed to the number of clips, and how sure that is."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evaluation.metrics.frechet_resampling import Resampler, affordable

FEWEST_CLIPS = 100  # for a bias to be told; recipes/audiocaps_metrics asks for as many
FEWEST_UNITS = 8  # clips, for parts that say anything
FEWEST_LINEAR = 16  # clips, for a rise to be told from one of another shape
LINEAR = (1.5, 2.7)  # rise from halves to quarters over rise to halves; 2 for one in N
REPEATS = (32, 8)  # random splits into halves, and into quarters; fewer where each costs much
COSTLY = 256  # side of the matrix that is decomposed
MOST_GROUPS = 200  # of clips that are left out at once; more hardly make it surer

SLOWLY = "the distance falls more slowly than 1/N here, with too few windows for its dimensions"
FEW = "too few clips"
ROUGH = "too few clips to tell how the distance falls"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bias:
    """What a set of this size adds to a distance on average, over one without end."""

    estimate: float
    low: float  # with the confidence asked for, the bias lies from here
    high: float  # to here


def small_sample_bias(
    resampler: Resampler, *, confidence: float = 0.95, rng: np.random.Generator
) -> Bias | None:
    """Estimate the bias of a Frechet distance by a jackknife over clips.

    What leaving out a clip adds on average, times all clips but one, is the bias to first order in
    one in N. Its spread is that of the curvature: the distance without a clip plus that with it
    twice, less twice the distance, is half of what the clip adds to the bias, and the clips are
    independent. What a set has by luck cancels in both, as it does not between sets of two sizes.

    Args:
        resampler: of the two sets; clips are left out of both sides at once.
        confidence: that the bias lies within the ends, which are as many times the estimate away.
        rng: puts the clips into groups, where there are too many to be left out one by one.

    Returns:
        the estimate, if `falls_otherwise` has nothing against it; None where there is none.

    Source: Quenouille 1956; Efron and Stein 1981.
    """
    count = min(resampler.units)
    if count < FEWEST_UNITS:
        return None
    groups = min(count, MOST_GROUPS, affordable(resampler, 2 * MOST_GROUPS) // 2)
    taken = [_members(total, groups, rng) for total in resampler.units]
    if resampler.units[0] == resampler.units[1]:
        taken[1] = taken[0]
    without, twice = (
        resampler.distances(*(1 + sign * members for members in taken)) for sign in (-1, 1)
    )
    whole = resampler.distances(*(np.ones((1, total)) for total in resampler.units))[0]
    shares = np.mean([members.mean(axis=1) for members in taken], axis=0)
    estimate = float((without - whole).sum() / (shares / (1 - shares)).sum())
    spread = float(0.5 * np.sqrt(groups) * (without + twice - 2 * whole).std(ddof=1))
    if not (np.isfinite([estimate, spread]).all() and estimate > 0):
        return None
    times = float(np.exp(NormalDist().inv_cdf((1 + confidence) / 2) * spread / estimate))
    if not np.isfinite(estimate * times):
        return None
    return Bias(estimate=estimate, low=estimate / times, high=estimate * times)


def falls_otherwise(resampler: Resampler, *, rng: np.random.Generator) -> str | None:
    """Say why a distance does not fall as one in N with the number of clips; None if it does.

    A bias of c / N adds c / N more with half the clips, and 3 c / N with a quarter. With fewer
    embeddings than dimensions it falls more slowly, and a limit from one in N is too high.
    """
    if min(resampler.units) < FEWEST_UNITS:
        return FEW
    means = []
    repeats = REPEATS[resampler.side > COSTLY]
    for parts in (1, 2, 4):
        counts = [
            _partitions(resampler.units, parts, rng) for _ in range(repeats if parts > 1 else 1)
        ]
        a, b = (np.concatenate(side) for side in zip(*counts, strict=True))
        means.append(float(resampler.distances(a, b).mean()))
    whole, half, quarter = means
    if not np.isfinite(means).all():
        return FEW
    steepening = (quarter - half) / (half - whole) if half != whole else np.nan
    low, high = LINEAR
    if steepening < low:
        return SLOWLY
    return None if steepening <= high and min(resampler.units) >= FEWEST_LINEAR else ROUGH


def _members(total: int, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Deal units into groups at random: int64 [groups, units], one for those of a group."""
    dealt = rng.permutation(total) % groups
    return (dealt == np.arange(groups)[:, None]).astype(np.int64)


def _partitions(
    units: tuple[int, int], parts: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split the units of both sides at random: counts int64 [parts, units] each."""
    orders = [rng.permutation(total) for total in units]
    if units[0] == units[1]:
        orders[1] = orders[0]
    counts = []
    for order in orders:
        size = len(order) // parts
        rows = np.zeros((parts, len(order)), dtype=np.int64)
        for part in range(parts):
            rows[part, order[part * size : (part + 1) * size]] = 1
        counts.append(rows)
    return counts[0], counts[1]
