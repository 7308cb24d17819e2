"""How much of a Frechet distance is the number of clips, and what missing clips add to it.

Means and covariances of few samples are off by chance, and the distance of two such sets is above
zero even if nothing is wrong with either: by about c / n for each of the two, n samples apart. For
VGGish windows c is near 540 (Gaussian of 128 dimensions with the trace that features of AudioCaps
have, 27.8). How many independent samples a clip of ten seconds is lies between one and its ten
windows of a second, which is why there are two numbers. Both fall as 1 / N: that is exact.
"""

from dataclasses import dataclass

from evaluation.metrics.sample_bias import FEWEST_CLIPS

PER_SAMPLE = 540.0  # squared distance times samples, of one finite set and the truth
WINDOWS = 10  # seconds of a clip, at most as many independent samples
LEAST = FEWEST_CLIPS  # with fewer, samples are fewer than dimensions and c / n means nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Bias:
    """What chance alone adds to FAD, both sets being of N clips: at least, at most."""

    low: float
    high: float

    def __str__(self) -> str:
        """Write both."""
        return f"{self.low:.2g} to {self.high:.2g}"


def fad_bias(clips: int) -> Bias:
    """Estimate the bias of FAD with N clips on both sides.

    Raises:
        ValueError: for fewer than `LEAST` clips, which no estimate is good for.
    """
    if clips < LEAST:
        raise ValueError(f"no estimate holds for fewer than {LEAST} clips, got {clips}")
    most = 2 * PER_SAMPLE / clips
    return Bias(low=most / WINDOWS, high=most)


def added_bias(clips: int, official: int) -> Bias:
    """Estimate what FAD gains because only ``clips`` of ``official`` are there.

    >>> str(added_bias(900, 975))
    '0.0092 to 0.092'
    """
    few, all_ = fad_bias(clips), fad_bias(official)
    return Bias(low=few.low - all_.low, high=few.high - all_.high)
