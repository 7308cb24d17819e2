"""Scorers that hold two sets against each other as a whole, or describe one."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.features.pairs import PairFeatures
from evaluation.metrics.extrapolation import subset
from evaluation.metrics.inception import (
    check_logits,
    check_order,
    log_probabilities,
    sound_order,
    split_scores,
)
from evaluation.metrics.kernel import KernelSums, check_bandwidth, kernel_sums
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.base import HALVINGS, ScorerBase, finite_or_none, references_alone
from evaluation.scorers.resampling import (
    FEWEST_CLIPS,
    cut_below,
    draw_counts,
    spread_interval,
)
from evaluation.scorers.score import Score

OF_MEAN = "where the mean of this score over sets of this N lies"
ONE_SPLIT = "a set taken whole varies less when its sounds repeat than among other sets"
ROWS = ("mean_logits", "items")


class SetScorer(ScorerBase):
    """A score of all windows together; it does not exist for one clip."""

    def compute(self, features: PairFeatures) -> float:
        """Return the number of features that passed `check`; or raise a ValueError."""
        raise NotImplementedError

    def value(self, features: PairFeatures) -> tuple[float, str | None]:
        """Return the number alone, or NaN and the reason."""
        reference, generated = self.sides(features)  # a wrong card is an error, not a reason
        try:
            check_sets(reference, generated)
            return self.compute(features), None
        except ValueError as error:
            return math.nan, str(error)

    def class_scores(
        self, features: PairFeatures, labels: Sequence[str], settings: Bootstrap
    ) -> dict[str, Score]:
        """Return nothing: the windows of one class are too few."""
        return {}

    def reference_self(self, features: PairFeatures) -> float | None:
        """Return the distance between references and references treated as generated sounds.

        None where a card prepares both sides alike: nothing sets the two apart.
        """
        if features.as_generated is None:
            return None
        return finite_or_none(self.value(references_alone(features))[0])

    def facts(self, features: PairFeatures) -> dict[str, Any]:
        """Return what a reader must know, and how many clips of each side have windows."""
        sides = zip(("reference", "generated"), self.sides(features), strict=True)
        clips = {name: sum(len(clip) > 0 for clip in side) for name, side in sides}
        return super().facts(features) | {"clips": clips}

    def make(self, value: float, details: dict[str, Any], **fields: Any) -> Score:
        """Build the score; its N is that of the side with fewer clips."""
        return super().make(value, details, **fields | {"n": min(details["clips"].values())})


class KernelScorer(SetScorer):
    """Kernel audio distance; options as in `kernel_distance`."""

    kind = "kernel"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "embedding",
        bandwidth: float | str = "reference",
        scale: float = 100.0,
    ) -> None:
        super().__init__(key, features=features, output=output)
        check_bandwidth(bandwidth)
        self.bandwidth = bandwidth
        self.scale = scale

    def compute(self, features: PairFeatures) -> float:
        """Return the unbiased distance."""
        return self._distances(self._sums(features), _ones(features))[0]

    def resampled(self, features: PairFeatures, counts: np.ndarray) -> np.ndarray:
        """Return the distance, float64 [R], under counts int [R, pairs], its bandwidth as it is."""
        return self._distances(self._sums(features), counts)

    def score(self, features: PairFeatures, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the distance, its interval, and that of halves of the references."""
        clips, details, interval = len(features.names), self.facts(features), None
        reference, generated = self.sides(features)
        try:
            check_sets(reference, generated)
            sums = self._sums(features)
        except ValueError as error:
            return self.make(math.nan, details, reason=str(error), n=clips), []
        value = float(self._distances(sums, _ones(features))[0])
        if clips >= FEWEST_CLIPS:
            draws = self._distances(sums, draw_counts(clips, settings))
            interval = spread_interval(value, draws, settings.confidence)
        details |= {
            "bandwidth": sums.bandwidth,
            "reference_halves": self.halves(features)
            if features.as_generated is not None
            else self._reference_halves(sums),
            "reference_self": self.reference_self(features),
            "interval_of": f"{OF_MEAN}, at this bandwidth",
            "bias": {"estimate": 0.0, "method": "none by construction: no pair of equals"},
        }
        return self.make(value, details, n=clips, interval=interval), []

    def _reference_halves(self, sums: KernelSums) -> float | None:
        """Return the mean distance of halves of the references, at this bandwidth."""
        rng = np.random.default_rng(0)
        clips = len(sums.reference)
        counts = np.stack([subset(clips // 2, clips, rng) for _ in range(HALVINGS)])
        return finite_or_none(self.scale * float(sums.halves(counts).mean()))

    def _sums(self, features: PairFeatures) -> KernelSums:
        reference, generated = self.sides(features)
        return kernel_sums(reference, generated, bandwidth=self.bandwidth)

    def _distances(self, sums: KernelSums, counts: np.ndarray) -> np.ndarray:
        return self.scale * sums.distance(counts, counts)


class InceptionScorer(SetScorer):
    """Inception score of the generated sounds alone.

    Options: ``splits``; ``order`` and ``seed`` as in `sound_order`; ``windows``, "mean_logits" (a
    sound with several windows is their mean) or "items" (every window is a sound).
    """

    kind = "inception"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "logits",
        splits: int = 10,
        order: str = "audioldm_eval",
        seed: int = 0,
        windows: str = "mean_logits",
    ) -> None:
        super().__init__(key, features=features, output=output)
        check_order(order)
        if splits < 1:
            raise ValueError(f"splits must be at least 1, got {splits}")
        if windows not in ROWS:
            raise ValueError(f"windows must be one of {', '.join(ROWS)}, got {windows!r}")
        self.splits = splits
        self.order = order
        self.seed = seed
        self.pool = windows == "mean_logits"

    def compute(self, features: PairFeatures) -> float:
        """Return the mean over splits."""
        return float(self._splits(features).mean())

    def value(self, features: PairFeatures) -> tuple[float, str | None]:
        """Return the number alone, or NaN and the reason."""
        self.sides(features)
        try:
            return self.compute(features), None
        except ValueError as error:
            return math.nan, str(error)

    def resampled(self, features: PairFeatures, counts: np.ndarray) -> np.ndarray:
        """Return the score, float64 [R], under counts int [R, pairs]."""
        logits, owner = self._logits(features)
        log_probability = log_probabilities(logits)
        found = []
        for row in counts:
            taken = np.repeat(np.arange(len(owner)), row[owner])
            if len(taken) < self.splits:
                found.append(math.nan)
                continue
            taken = taken[sound_order(len(taken), order=self.order, seed=self.seed)]
            found.append(float(split_scores(log_probability[taken], self.splits).mean()))
        return np.array(found)

    def score(self, features: PairFeatures, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the score, its interval, and that of the references."""
        clips, details, interval = len(features.names), self.facts(features), None
        value, reason = self.value(features)
        if reason is not None:
            return self.make(value, details, reason=reason, n=clips), []
        if self.splits == 1:
            details["no_interval"] = ONE_SPLIT
        elif clips >= FEWEST_CLIPS:
            draws = self.resampled(features, draw_counts(clips, settings))
            interval = spread_interval(value, draws, settings.confidence)
            interval, cut = cut_below(interval, 1.0)
            details |= cut
        details |= {
            "splits": self.splits,
            "splits_std": float(self._splits(features).std(correction=0)),
            "reference_self": finite_or_none(self.value(references_alone(features))[0]),
            "reference_halves": None,
            "interval_of": OF_MEAN,
        }
        return self.make(value, details, n=clips, interval=interval), []

    def facts(self, features: PairFeatures) -> dict[str, Any]:
        """Return what a reader must know; only generated clips count."""
        found = super().facts(features)
        return found | {"clips": {"generated": found["clips"]["generated"]}}

    def _splits(self, features: PairFeatures) -> Tensor:
        logits, _ = self._logits(features)
        check_logits(logits, self.splits)
        order = sound_order(len(logits), order=self.order, seed=self.seed)
        return split_scores(log_probabilities(logits[order]), self.splits)

    def _logits(self, features: PairFeatures) -> tuple[Tensor, np.ndarray]:
        """Return float64 [rows, C] and the clip of each row."""
        clips = self.sides(features)[1]
        if self.pool:
            clips = [
                clip.double().mean(dim=0, keepdim=True) if len(clip) else clip for clip in clips
            ]
        owner = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
        return torch.cat([clip.double() for clip in clips]), owner


def check_sets(reference: Sequence[Tensor], generated: Sequence[Tensor]) -> None:
    """Check that two sets can be held against each other.

    Raises:
        ValueError: if there is one clip, fewer than two windows on a side, a value that is not
            finite, or one and the same vector for all windows of the references.
    """
    if len(reference) < 2:
        raise ValueError("one clip says nothing about a set: score more")
    for side, clips in (("reference", reference), ("generated", generated)):
        windows = sum(map(len, clips))
        if windows < 2:
            raise ValueError(f"{side}: two or more windows are needed, got {windows}")
        broken = sum(not bool(clip.isfinite().all()) for clip in clips)
        if broken:
            raise ValueError(
                f"{side}: the network gives NaN or infinite values for {broken} of {len(clips)} "
                "sounds: check them"
            )
    rows = torch.cat(list(reference))
    if (rows - rows[0]).abs().max() <= 1e-6 * rows.abs().max():
        raise ValueError("all windows of the references are one and the same: are they silent?")


def interval_text(draws: int, units: int, clips: int) -> dict[str, Any]:
    """Say how an interval was drawn."""
    found: dict[str, Any] = {"interval_of": OF_MEAN, "interval_resamples": draws}
    return found | ({"interval_groups": units} if units != clips else {})


def _ones(features: PairFeatures) -> np.ndarray:
    return np.ones((1, len(features.names)), dtype=np.int64)
