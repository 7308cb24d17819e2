"""Scores over extracted features: one scorer per kind of metric, built from the card's options."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from evaluation.features.pairs import PairFeatures
from evaluation.options import problem
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.frechet import FrechetScorer, InfinityScorer
from evaluation.scorers.pairs import (
    AudioCosineScorer,
    DivergenceScorer,
    NeighborScorer,
    TextCosineScorer,
)
from evaluation.scorers.score import Score
from evaluation.scorers.sets import InceptionScorer, KernelScorer


class FeatureScorer(Protocol):
    """A metric over the features of one network.

    Options that every kind takes: ``features``, the name of the network's entry on the card, and
    ``output``, which of its outputs is read. The others are the keyword arguments of the classes.
    """

    key: str
    kind: str
    features: str
    output: str

    def score(self, features: PairFeatures, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the score with interval, bias and scale of chance; and warnings about it."""
        ...

    def value(self, features: PairFeatures) -> tuple[float, str | None]:
        """Return the number alone, or NaN and the reason."""
        ...

    def values(self, features: PairFeatures) -> dict[str, float]:
        """Return what can be said about each pair alone, by name; nothing if nothing can."""
        ...

    def class_scores(
        self, features: PairFeatures, labels: Sequence[str], settings: Bootstrap
    ) -> dict[str, Score]:
        """Return the score per label, one label per pair; nothing if there is no such score."""
        ...

    def resampled(self, features: PairFeatures, counts: np.ndarray) -> np.ndarray:
        """Return the score, float64 [R], with every pair taken as often as counts say.

        Args:
            features: of the pairs.
            counts: int [R, pairs]. The same counts for two systems give their paired difference.
        """
        ...


KINDS: dict[str, Callable[..., FeatureScorer]] = {
    "frechet": FrechetScorer,
    "frechet_infinity": InfinityScorer,
    "kl": DivergenceScorer,
    "cosine_text": TextCosineScorer,
    "cosine_audio": AudioCosineScorer,
    "inception": InceptionScorer,
    "kernel": KernelScorer,
    "prdc": NeighborScorer,
}


WHOLE = {"k": 1, "splits": 1, "points": 3, "fewest": 2, "seed": 0}  # option -> the least it can be
REAL = {"epsilon": 0.0, "scale": 1e-300}


def build_feature_scorer(key: str, options: Mapping[str, Any]) -> FeatureScorer:
    """Build the scorer of a metric from the options its card states.

    Args:
        key: of the catalog.
        options: ``kind``, one of `KINDS`; and what that kind takes.

    Raises:
        ValueError: if the kind or an option is unknown, or a value is not possible.
    """
    options = dict(options)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"{key}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    try:
        _check_numbers(options)
        return KINDS[kind](key, **options)
    except (TypeError, ValueError) as error:
        text = problem(error, options) if isinstance(error, TypeError) else error
        raise ValueError(f"options of {key}, of kind {kind}: {text}") from error


def _check_numbers(options: Mapping[str, Any]) -> None:
    """Check what YAML can get wrong: text, fractions, true, infinite."""
    for name, value in options.items():
        if name not in WHOLE and name not in REAL:
            continue
        number = isinstance(value, int if name in WHOLE else int | float)
        least = WHOLE.get(name, REAL.get(name, 0))
        if isinstance(value, bool) or not number or not least <= value < math.inf:
            kind = "a whole number" if name in WHOLE else "a number"
            limit = "above 0" if name == "scale" else f"from {least:g}"
            raise ValueError(f"{name} must be {kind} {limit}, got {value!r}")
