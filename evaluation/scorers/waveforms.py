"""One scorer per metric on waveforms: it takes decoded pairs and ends in a score."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor

from evaluation.metrics.spectral import log_spectral_distance, mel_distance, multi_scale_mel
from evaluation.options import problem
from evaluation.preparation.pair import Item
from evaluation.protocols.card import Bootstrap, ProtocolCard
from evaluation.scorers.pair import LevelScorer
from evaluation.scorers.round_trip import DistanceScorer, ListenerScorer, SiSdrScorer, SiSnrScorer
from evaluation.scorers.score import Score


class Scorer(Protocol):
    """A metric at work."""

    def add(self, item: Item) -> dict[str, float]:
        """Take a pair; return what can be said about it alone, by metric key."""
        ...

    def score(self, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the score of all pairs, and warnings a reader of it needs."""
        ...

    def class_scores(self, labels: Sequence[str], settings: Bootstrap) -> dict[str, Score]:
        """Return the score per label, one label per pair; nothing if there is no such score."""
        ...


def build_scorer(key: str, card: ProtocolCard) -> Scorer:
    """Build the scorer of a metric with the options its card states.

    Raises:
        ValueError: if the card's options do not fit the metric.
    """
    options = card.metrics[key]
    try:
        return BUILDERS[key](**options)
    except (TypeError, ValueError) as error:
        text = problem(error, options) if isinstance(error, TypeError) else error
        raise ValueError(f"protocol {card.name}: options of {key}: {text}") from error


def _build_distance(key: str, distance: Callable[..., Tensor], **options: Any) -> Scorer:
    """Build the scorer of a spectral distance; unknown options are refused here, not later."""
    sample_rate = options.pop("sample_rate", None)
    unknown = options.keys() - signature(distance).parameters.keys()
    if unknown:
        raise ValueError(f"it has no option {', '.join(sorted(unknown))}")
    takes_rate = "sample_rate" in signature(distance).parameters

    def measure(reference: Tensor, generated: Tensor, rate: int) -> float:
        given = options | ({"sample_rate": rate} if takes_rate else {})
        return float(distance(reference[None], generated[None], **given))

    scorer = DistanceScorer(key, measure, sample_rate=sample_rate)
    measure(torch.ones(8), torch.ones(8), 48000)  # so that wrong options show before the work
    return scorer


def _build_visqol(**options: Any) -> Scorer:
    from evaluation.metrics.visqol import Visqol

    return ListenerScorer("visqol", Visqol(**options))


def _build_pesq(**options: Any) -> Scorer:
    from evaluation.metrics.pesq import Pesq

    return ListenerScorer("pesq", Pesq(**options))


BUILDERS: dict[str, Callable[..., Scorer]] = {
    "level_difference_db": LevelScorer,
    "si_sdr": SiSdrScorer,
    "sisnr_audiocraft": SiSnrScorer,
    "mel_distance": partial(_build_distance, "mel_distance", mel_distance),
    "multi_scale_mel": partial(_build_distance, "multi_scale_mel", multi_scale_mel),
    "log_spectral_distance": partial(
        _build_distance, "log_spectral_distance", log_spectral_distance
    ),
    "visqol": _build_visqol,
    "pesq": _build_pesq,
}
