"""All metrics of an evaluation at work: on waveforms pair by pair, on features after that."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluation.catalog import METRICS
from evaluation.features.pairs import PairFeatures
from evaluation.preparation.pair import Item
from evaluation.protocols.card import Bootstrap, ProtocolCard
from evaluation.scorers.features import FeatureScorer, build_feature_scorer
from evaluation.scorers.interval import FEWEST_CLIPS, too_few_resamples
from evaluation.scorers.score import Score
from evaluation.scorers.waveforms import Scorer, build_scorer


class Scorers:
    """The scorers of some metrics of a card."""

    def __init__(self, card: ProtocolCard, keys: Sequence[str]) -> None:
        """Build them.

        Raises:
            ValueError: if the card's options do not fit a metric.
        """
        self.card = card
        self.keys = keys
        self.on_pairs: dict[str, Scorer] = {
            key: build_scorer(key, card) for key in keys if METRICS[key].kind is None
        }
        self.on_features: dict[str, FeatureScorer] = {}
        for key in keys:
            if METRICS[key].kind is not None:
                self.on_features[key] = build_feature_scorer(key, card.metrics[key])

    @property
    def features(self) -> list[str]:
        """Names on the card of the features that are needed."""
        return list(dict.fromkeys(self.card.metrics[key]["features"] for key in self.on_features))

    @property
    def with_text(self) -> set[str]:
        """Names of those of which the captions are needed too."""
        needed = [key for key in self.on_features if METRICS[key].needs_captions]
        return {self.card.metrics[key]["features"] for key in needed}

    def measure(self, item: Item) -> dict[str, float]:
        """Take a pair; return what the metrics on waveforms say about it alone."""
        found: dict[str, float] = {}
        for scorer in self.on_pairs.values():
            found |= scorer.add(item)
        return found

    def of(self, key: str, features: Mapping[str, PairFeatures]) -> PairFeatures:
        """Return the features a metric is made from."""
        return features[self.card.metrics[key]["features"]]

    def score(
        self, features: Mapping[str, PairFeatures]
    ) -> tuple[dict[str, Score], list[str], dict[str, dict[str, float]]]:
        """Return all scores, what a reader must know beside them, and values by pair.

        Returns:
            metric key -> score; warnings; name of a pair -> metric key -> value.
        """
        scores, notes = {}, []
        values: dict[str, dict[str, float]] = {}
        for key in self.keys:
            if key in self.on_pairs:
                scores[key], texts = self.on_pairs[key].score(self.card.bootstrap)
            else:
                own, scorer = self.of(key, features), self.on_features[key]
                scores[key], texts = scorer.score(own, self.card.bootstrap)
                for name, value in scorer.values(own).items():
                    values.setdefault(name, {})[key] = value
            scores[key] = _explained(scores[key], self.card.bootstrap)
            notes += texts
        return scores, notes, values

    def score_classes(
        self, features: Mapping[str, PairFeatures], labels: Sequence[str]
    ) -> dict[str, dict[str, Score]]:
        """Score the classes, in order of their names; one label per pair."""
        classes: dict[str, dict[str, Score]] = {label: {} for label in sorted(set(labels))}
        for key in self.keys:
            settings = self.card.bootstrap
            if key in self.on_pairs:
                found = self.on_pairs[key].class_scores(labels, settings)
            else:
                found = self.on_features[key].class_scores(self.of(key, features), labels, settings)
            for label, score in found.items():
                classes[label][key] = score
        return classes


def _explained(score: Score, settings: Bootstrap) -> Score:
    """Say why a score that has a value has no interval, where its scorer does not."""
    if score.interval is not None or math.isnan(score.value):
        return score
    why = too_few_resamples(settings.resamples, settings.confidence)
    if why is None and score.n < FEWEST_CLIPS:
        why = f"fewer than {FEWEST_CLIPS} clips"
    why = why or "most resamples have no finite value"
    return replace(score, details={"no_interval": why} | score.details)


def too_short(features: Mapping[str, PairFeatures]) -> Iterable[str]:
    """Warn of sounds that give a network no window, by network and side."""
    from evaluation.folders import shorten

    for name, own in features.items():
        for side in ("reference", "generated"):
            clips: Any = next(iter(getattr(own, side).values()))
            empty = [who for who, clip in zip(own.names, clips, strict=True) if len(clip) == 0]
            if empty:
                yield (
                    f"{len(empty)} of {len(own.names)} {side} sounds are too short for {name} and "
                    f"count nothing there: {shorten(empty)}"
                )
