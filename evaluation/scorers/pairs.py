"""What a pair of sounds contributes: divergence of classes, cosines, and who is near whom."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.features.pairs import PairFeatures
from evaluation.metrics.cosine import WINDOW_RULES, clip_cosine
from evaluation.metrics.divergence import check_options, check_segments, clip_divergence
from evaluation.metrics.neighbors import VALUES, neighborhoods
from evaluation.scorers.mean import Contributions, MeanScorer

ITEMS = ("clips", "captions")


class DivergenceScorer(MeanScorer):
    """KL divergence of class probabilities; options as in `clip_divergence`."""

    kind = "kl"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "logits",
        direction: str = "reference||generated",
        activation: str = "softmax",
        epsilon: float = 0.0,
        segments: str = "items",
    ) -> None:
        super().__init__(key, features=features, output=output)
        check_options(direction, activation, epsilon)
        check_segments(segments)
        self.options: dict[str, Any] = {
            "direction": direction,
            "activation": activation,
            "epsilon": epsilon,
        }
        self.segments = segments

    def items(self, features: PairFeatures, index: int) -> Tensor:
        """Return a value per segment, or one per clip."""
        reference, generated = self.sides(features)
        return clip_divergence(
            reference[index], generated[index], segments=self.segments, **self.options
        )


class TextCosineScorer(MeanScorer):
    """Cosine of sounds and their captions.

    Options: ``items``, "clips" (the captions of a clip are averaged first) or "captions" (every
    caption is an item of equal weight); ``windows`` as in `clip_cosine`.
    """

    kind = "cosine_text"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "embedding",
        items: str = "clips",
        windows: str = "mean_cosine",
    ) -> None:
        super().__init__(key, features=features, output=output)
        if items not in ITEMS:
            raise ValueError(f"items must be one of {', '.join(ITEMS)}, got {items!r}")
        self.by_caption = items == "captions"
        self.windows = check_windows(windows)

    def items(self, features: PairFeatures, index: int) -> Tensor:
        """Return a value per caption, or their mean."""
        if features.text is None or len(features.text[index]) == 0:
            raise ValueError("it has no caption")
        sound = self.sides(features)[1][index]
        cosines = clip_cosine(sound, features.text[index], windows=self.windows)
        return cosines if self.by_caption else cosines.mean()[None]

    def reference_halves(self, features: PairFeatures) -> float | None:
        """Return nothing: two halves of the references have no caption in common."""
        return None


class AudioCosineScorer(MeanScorer):
    """Cosine of generated sounds and their references; option ``windows`` as in `clip_cosine`."""

    kind = "cosine_audio"

    def __init__(
        self,
        key: str,
        *,
        features: str = "",
        output: str = "embedding",
        windows: str = "mean_cosine",
    ) -> None:
        super().__init__(key, features=features, output=output)
        self.windows = check_windows(windows)

    def items(self, features: PairFeatures, index: int) -> Tensor:
        """Return the mean cosine over the windows of both sides."""
        reference, generated = (side[index] for side in self.sides(features))
        if self.windows == "mean_embedding" and len(reference):
            reference = torch.nn.functional.normalize(reference.double(), dim=1)
            reference = reference.mean(dim=0, keepdim=True)
        return clip_cosine(generated, reference, windows=self.windows).mean()[None]


class NeighborScorer(MeanScorer):
    """Precision, recall, density or coverage, of all windows; see `neighborhoods`.

    Options: ``value``, which of them; ``k``, the neighbor whose distance is the reach.
    """

    kind = "prdc"
    no_interval = "the reach of windows changes with the clips; resampling them misses that"

    def __init__(
        self, key: str, *, features: str = "", output: str = "embedding", value: str, k: int = 5
    ) -> None:
        super().__init__(key, features=features, output=output)
        if value not in VALUES:
            raise ValueError(f"value must be one of {', '.join(VALUES)}, got {value!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.measure = value
        self.k = k

    def contributions(self, features: PairFeatures) -> Contributions:
        """Return the shares of each clip's windows: generated for precision and density."""
        sides = self.sides(features)
        clips = len(features.names)
        own = sides[self.measure in ("precision", "density")]
        try:
            if clips < 2:
                raise ValueError("one clip says nothing about a set: score more")
            found = neighborhoods(*(torch.cat(list(side)) for side in sides), k=self.k)
        except ValueError as error:
            nothing = np.zeros(clips)
            return Contributions(sums=nothing, counts=nothing, reasons={}, reason=str(error))
        counts = np.array([len(clip) for clip in own])
        owner = np.repeat(np.arange(clips), counts)
        sums = np.bincount(owner, weights=getattr(found, self.measure), minlength=clips)
        return Contributions(sums=sums, counts=counts.astype(float), reasons={})

    def reference_self(self, features: PairFeatures) -> float | None:
        """Return nothing where both sides are prepared alike: every window is in its own reach."""
        return None if features.as_generated is None else super().reference_self(features)


def check_windows(windows: str) -> str:
    """Check the rule for the windows of `clip_cosine`, and return it."""
    if windows not in WINDOW_RULES:
        raise ValueError(f"windows must be one of {', '.join(WINDOW_RULES)}, got {windows!r}")
    return windows
