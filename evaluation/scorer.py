"""One scorer per metric that can be computed: it takes decoded pairs and ends in a score."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from evaluation.catalog import METRICS
from evaluation.embedders import Embedder
from evaluation.embedders.logmel import LogMelStatistics
from evaluation.interval import clip_interval
from evaluation.metrics.gaussian import (
    frechet_distance,
    pack_moments,
    small_sample_text,
    unpack_gaussian,
)
from evaluation.metrics.level import level_difference
from evaluation.prepare import Item
from evaluation.protocol import Bootstrap, ProtocolCard
from evaluation.report import Score


class Scorer(Protocol):
    """A metric at work."""

    def add(self, item: Item) -> dict[str, float]:
        """Take a pair; return what can be said about it alone, by metric key."""
        ...

    def score(self, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the score of all pairs, and warnings a reader of it needs."""
        ...


class FrechetScorer:
    """Frechet distance of windows embedded by one embedder, with its interval over clips."""

    def __init__(self, key: str, embedder: Embedder) -> None:
        self.key = key
        self.embedder = embedder
        self.clips: dict[str, list[Tensor]] = {"reference": [], "generated": []}

    def add(self, item: Item) -> dict[str, float]:
        """Embed both sides; a distribution distance says nothing about one pair."""
        for side, sound in (("reference", item.reference), ("generated", item.generated)):
            vectors = self.embedder(sound.at(self.embedder.sample_rate))
            self.clips[side].append(vectors.double())
        return {}

    def score(self, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the distance, or NaN with the reason where it does not exist."""
        count = len(self.clips["reference"])
        windows = {side: sum(map(len, clips)) for side, clips in self.clips.items()}
        details: dict[str, Any] = {
            "embedder": self.embedder.name,
            "embedder_version": self.embedder.version,
            "dim": self.embedder.dim,
            "windows": windows,
        }
        texts = [small_sample_text(n, self.embedder.dim, side=side) for side, n in windows.items()]
        notes = [text for text in texts if text is not None]
        try:
            value = self._resample(np.arange(count))
        except ValueError as error:
            return _score(self.key, math.nan, str(error), count, None, details), notes
        interval = clip_interval(count, self._resample, settings=settings, method="basic")
        if interval is not None:
            interval = (max(0.0, interval[0]), max(0.0, interval[1]))
            details["interval_of"] = "the distance without its small-sample bias"
        details["reference_halves"] = self._halves()
        return _score(self.key, value, None, count, interval, details), notes

    def _resample(self, clips: np.ndarray) -> float:
        return self._distance("reference", clips, "generated", clips)

    def _halves(self) -> float | None:
        """Distance between a random half of the references and the rest: chance alone at N / 2.

        Random, because file names often run through the classes in turn.
        """
        clips = np.random.default_rng(0).permutation(len(self.clips["reference"]))
        middle = len(clips) // 2
        try:
            return self._distance("reference", clips[:middle], "reference", clips[middle:])
        except ValueError:
            return None  # too few windows for two covariances

    def _distance(
        self, side_a: str, clips_a: np.ndarray, side_b: str, clips_b: np.ndarray
    ) -> float:
        gaussians: list[Tensor] = []
        for side, clips in ((side_a, clips_a), (side_b, clips_b)):
            rows = [self.clips[side][i] for i in clips]
            vectors = torch.cat(rows) if rows else torch.empty(0, self.embedder.dim)
            gaussians += unpack_gaussian(pack_moments(vectors))[1:]
        return float(frechet_distance(*gaussians))


class LevelScorer:
    """Median level difference over pairs; a pair with a silent side has none."""

    key = "level_difference_db"

    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, item: Item) -> dict[str, float]:
        """Compare the levels as decoded, before any loudness rule."""
        value = level_difference(item.reference.waveform, item.generated_as_is.waveform)
        self.values.append(float(value))
        return {self.key: self.values[-1]}

    def score(self, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the median over pairs whose two sides are audible; N counts those."""
        values = np.array(self.values)
        audible = values[np.isfinite(values)]
        silent = len(values) - len(audible)
        details = {"silent_pairs": silent}
        if len(audible) == 0:
            reason = "no pair has two audible sides"
            return _score(self.key, math.nan, reason, 0, None, details), []
        interval = clip_interval(
            len(audible),
            lambda clips: float(np.median(audible[clips])),
            settings=settings,
            method="percentile",
        )
        score = _score(self.key, float(np.median(audible)), None, len(audible), interval, details)
        warning = f"{silent} of {len(values)} pairs have a silent side and no level difference."
        return score, [warning] if silent else []


def build_scorer(key: str, card: ProtocolCard) -> Scorer:
    """Build the scorer of a metric with the options its card states.

    Raises:
        ValueError: if the card's options do not fit the metric.
    """
    try:
        return BUILDERS[key](**card.metrics[key])
    except TypeError as error:
        raise ValueError(f"protocol {card.name}: options of {key}: {error}") from error


def _build_standin(**options: Any) -> Scorer:
    return FrechetScorer("frechet_logmel_standin", LogMelStatistics(**options))


BUILDERS: dict[str, Callable[..., Scorer]] = {
    "frechet_logmel_standin": _build_standin,
    "level_difference_db": LevelScorer,
}


def _score(
    key: str,
    value: float,
    reason: str | None,
    count: int,
    interval: tuple[float, float] | None,
    details: dict[str, Any],
) -> Score:
    info = METRICS[key]
    return Score(
        name=key,
        label=info.label,
        unit=info.unit,
        best=info.best,
        value=value,
        reason=reason,
        n=count,
        interval=interval,
        details=details,
    )
