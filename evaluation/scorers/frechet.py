"""Scorers of Frechet distances: with interval, small-sample bias, and the limit without it."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.features.pairs import PairFeatures
from evaluation.metrics.clip_frechet import per_clip
from evaluation.metrics.extrapolation import check_recipe, frechet_infinity
from evaluation.metrics.feature_frechet import check_method, frechet_from_features
from evaluation.metrics.frechet_resampling import make_resampler
from evaluation.metrics.gaussian import small_sample_text
from evaluation.metrics.sample_bias import falls_otherwise
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.score import Score
from evaluation.scorers.sets import OF_MEAN, SetScorer, check_sets
from evaluation.scorers.spread import bias_of, spread

VECTORS = ("float32", "float16")
FILE_MEANS = ("exact", "float16")
OTHERS_METHODS = ("scipy_sqrtm", "eigenvalues")  # as they come out, below zero too


class FrechetScorer(SetScorer):
    """Frechet distance of the windows of all clips.

    Options: ``method``, ``statistics`` and ``epsilon`` as in `frechet_from_features`; ``vectors``,
    "float16" if they are rounded first, as fadtk keeps them; ``file_means``, "float16" if the
    windows of every clip are moved to where fadtk rounds their mean to.
    """

    kind = "frechet"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "embedding",
        method: str = "auto",
        statistics: str = "float64",
        epsilon: float = 1e-6,
        vectors: str = "float32",
        file_means: str = "exact",
    ) -> None:
        super().__init__(key, features=features, output=output)
        check_method(method, statistics)
        if file_means not in FILE_MEANS:
            raise ValueError(
                f"file_means must be one of {', '.join(FILE_MEANS)}, got {file_means!r}"
            )
        if epsilon < 0:
            raise ValueError(f"epsilon must be zero or more, got {epsilon}")
        if vectors not in VECTORS:
            raise ValueError(f"vectors must be one of {', '.join(VECTORS)}, got {vectors!r}")
        self.method = method
        self.statistics = statistics
        self.epsilon = epsilon
        self.vectors = vectors
        self.file_means = file_means

    def sides(self, features: PairFeatures) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return float [n, D] per clip, rounded if the card says so."""
        reference, generated = super().sides(features)
        if self.vectors == "float16":
            reference, generated = ([x.half() for x in side] for side in (reference, generated))
        if self.file_means == "float16":
            reference, generated = (
                [with_half_mean(x) for x in side] for side in (reference, generated)
            )
        return reference, generated

    def compute(self, features: PairFeatures) -> float:
        """Return the distance; zero if it is below by rounding."""
        value = self.raw(*self.sides(features))
        return value if self.method in OTHERS_METHODS else max(0.0, value)

    def raw(self, reference: Sequence[Tensor], generated: Sequence[Tensor]) -> float:
        """Return the distance as it comes out."""
        distance = frechet_from_features(
            torch.cat(list(reference)),
            torch.cat(list(generated)),
            method=self.method,
            statistics=self.statistics,
            epsilon=self.epsilon,
        )
        return float(distance)

    def values(self, features: PairFeatures) -> dict[str, float]:
        """Return the distance of each generated clip alone to all references.

        Its covariance is singular, which is exact here; NaN for a clip with one window. Nothing if
        no clip has two.
        """
        reference, generated = self.sides(features)
        if max(map(len, generated), default=0) < 2 or self.value(features)[1] is not None:
            return {}
        found = per_clip(torch.cat(list(reference)), generated)
        return dict(zip(features.names, found, strict=True))

    def resampled(self, features: PairFeatures, counts: np.ndarray) -> np.ndarray:
        """Return the distance, float64 [R], under counts int [R, pairs]."""
        sides = self.sides(features)
        resampler = make_resampler(*sides)
        if resampler.units == (counts.shape[1],) * 2:
            return resampler.distances(counts, counts)
        found = []
        for row in counts:  # clips are summed in groups there: read the windows again
            taken = np.repeat(np.arange(len(row)), row).tolist()
            found.append(self.raw(*([side[i] for i in taken] for side in sides)))
        return np.array(found)

    def score(self, features: PairFeatures, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the distance, or NaN with the reason where it does not exist."""
        clips, details = len(features.names), self.facts(features)
        value, reason = self.value(features)
        if reason is not None:
            return self.make(value, details, reason=reason, n=clips), []
        resampler = make_resampler(*self.sides(features))
        lowest = -math.inf if value < 0 else 0.0  # by other tools' methods
        interval, how = spread(resampler, value, clips, settings, lowest=lowest)
        windows = [[len(clip) for clip in side] for side in self.sides(features)]
        details |= how | {
            "method": self.method,
            "statistics": self.statistics,
            "raw": self.raw(*self.sides(features)),
            "bias": bias_of(resampler, value, windows, settings),
            "reference_halves": self.halves(features),
            "reference_self": self.reference_self(features),
        }
        notes = self.notes(details)
        return self.make(value, details, n=clips, interval=interval), notes

    def notes(self, details: dict[str, Any]) -> list[str]:
        """Say that a side has too few windows, or too few clips, for the rank of its covariance.

        Windows of one clip are alike: where they alone are more than the dimensions, the covariance
        has its rank and rests on few sounds all the same.
        """
        dim, windows, clips = details["dim"], details["windows"], details["clips"]
        few = [side for side, count in windows.items() if small_sample_text(count, dim, side=side)]
        scarce = [side for side, count in clips.items() if count <= dim and side not in few]
        notes = []
        if len(few) == 1:
            notes.append(f"{self.key}: {small_sample_text(windows[few[0]], dim, side=few[0])}")
        elif few:
            counts = " and ".join(f"{windows[side]} {side}" for side in few)
            notes.append(
                f"{self.key}: {counts} embeddings for {dim} dimensions: both covariances are rank "
                "deficient and the distance too large to compare with others. Score more sounds."
            )
        if scarce:
            counts = " and ".join(f"{clips[side]} {side}" for side in scarce)
            notes.append(
                f"{self.key}: {counts} clips for {dim} dimensions: their windows are more, but "
                "those of one clip are alike, and the distance is too large to compare with "
                "others. Score more sounds."
            )
        return notes


def with_half_mean(rows: Tensor) -> Tensor:
    """Move float [n, D] to where numpy rounds the mean of float16 rows to; float64 [n, D]."""
    if len(rows) == 0:
        return rows.double()
    mean = torch.from_numpy(rows.half().numpy().mean(axis=0))
    return rows.double() - rows.double().mean(dim=0) + mean.double()


class InfinityScorer(SetScorer):
    """Frechet distance in the limit of sounds without end; options as in `frechet_infinity`."""

    kind = "frechet_infinity"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "embedding",
        recipe: str = "both",
        points: int = 25,
        fewest: int = 500,
        seed: int = 0,
    ) -> None:
        super().__init__(key, features=features, output=output)
        check_recipe(recipe, points, fewest)
        self.options: dict[str, Any] = {"recipe": recipe, "points": points, "fewest": fewest}
        self.seed = seed

    def compute(self, features: PairFeatures) -> float:
        """Return the limit."""
        return float(self.line(features)["limit"])

    def line(self, features: PairFeatures) -> dict[str, float]:
        """Return limit, slope and r2 of the line."""
        rng = np.random.default_rng(self.seed)
        return asdict(frechet_infinity(*self.sides(features), **self.options, rng=rng))

    def resampled(self, features: PairFeatures, counts: np.ndarray) -> np.ndarray:
        """Return the plain distance, float64 [R], under counts int [R, pairs], as it spreads alike.

        Moved to the limit of all clips.
        """
        plain = FrechetScorer(self.key, output=self.output)
        return plain.resampled(features, counts) - plain.compute(features) + self.compute(features)

    def score(self, features: PairFeatures, settings: Bootstrap) -> tuple[Score, list[str]]:
        """Return the limit, or NaN with the reason where it does not exist."""
        clips, details = len(features.names), self.facts(features)
        notes: list[str] = []
        sides = self.sides(features)
        try:
            check_sets(*sides)
            line = self.line(features)
        except ValueError as error:
            return self.make(math.nan, details, reason=str(error), n=clips), notes
        resampler = make_resampler(*sides)
        interval, how = spread(resampler, line["limit"], clips, settings, lowest=-math.inf)
        details |= (
            how
            | self.options
            | {
                "seed": self.seed,
                "r2": line["r2"],
                "slope": line["slope"],
                "plain": float(frechet_from_features(*(torch.cat(list(side)) for side in sides))),
                "reference_halves": self.halves(features),
                "reference_self": self.reference_self(features),
            }
        )
        details["interval_of"] = f"{OF_MEAN}, if it spreads as the plain distance does"
        why = falls_otherwise(resampler, rng=np.random.default_rng(settings.seed))
        if self.options["recipe"] == "both" and why is not None:
            details["unreliable_limit"] = line["limit"]
            reason = f"no limit to rely on: {why}"
            return self.make(math.nan, details, reason=reason, n=clips), notes
        return self.make(line["limit"], details, n=clips, interval=interval), notes
