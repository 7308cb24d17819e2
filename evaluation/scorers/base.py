"""What the scorers over features share: facts for the report, halves of the references."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from evaluation.features.pairs import PairFeatures
from evaluation.scorers.score import Score

STAND_IN = "stand-in (random weights): "
HALVINGS = 4  # random halvings of the references that are averaged


class ScorerBase:
    """Key, output and facts of a scorer over the features of one network."""

    kind: str

    def __init__(self, key: str, *, features: str = "", output: str) -> None:
        self.key = key
        self.features = features
        self.output = output

    def value(self, features: PairFeatures) -> tuple[float, str | None]:
        """Return the number alone, or NaN and the reason."""
        raise NotImplementedError

    def values(self, features: PairFeatures) -> dict[str, float]:
        """Return nothing: a distance of sets says nothing about one pair."""
        return {}

    def sides(self, features: PairFeatures) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return float [n, D] per clip, of the references and of the generated sounds."""
        if self.output not in features.reference:
            raise ValueError(
                f"{self.key} reads the output {self.output!r}, the network gives "
                f"{', '.join(features.reference)}: correct the card's output"
            )
        return features.reference[self.output], features.generated[self.output]

    def facts(self, features: PairFeatures) -> dict[str, Any]:
        """Return what a reader of the report must know about the features."""
        reference, generated = self.sides(features)
        sides = {"reference": reference, "generated": generated}
        return {
            "stand_in": bool(features.network.get("stand_in", False)),
            "network": dict(features.network),
            "output": self.output,
            "dim": next((int(clip.shape[-1]) for clip in reference), None),
            "windows": {name: sum(map(len, clips)) for name, clips in sides.items()},
            "self_as_generated": features.as_generated is not None,
        }

    def make(self, value: float, details: dict[str, Any], **fields: Any) -> Score:
        """Build the score; a network with random weights is named in its label."""
        score = Score.of(self.key, value, details=details, **fields)
        if details.get("stand_in") and not score.label.startswith(STAND_IN):
            score = replace(score, label=STAND_IN + score.label)
        return score

    def halves(self, features: PairFeatures) -> float | None:
        """Return the mean value of random halves of the references held against the other halves.

        What chance alone gives, at half the number of clips; None where it does not exist. Random,
        because file names often run through the classes in turn.
        """
        rng = np.random.default_rng(0)
        found = [
            self.value(halved(features, rng.permutation(len(features.names))))[0]
            for _ in range(HALVINGS)
        ]
        return float(np.mean(found)) if np.isfinite(found).all() else None


def references_alone(features: PairFeatures) -> PairFeatures:
    """Return the references in the place of the generated sounds."""
    return replace(features, generated=features.stand_ins)


def halved(features: PairFeatures, order: np.ndarray) -> PairFeatures:
    """Return one half of the references, and as generated sounds the other half, in an order."""
    half = len(order) // 2
    first, second = order[:half].tolist(), order[half : 2 * half].tolist()
    part = select(references_alone(features), first)
    generated = {name: [clips[i] for i in second] for name, clips in features.stand_ins.items()}
    return replace(part, generated=generated)


def select(features: PairFeatures, rows: Sequence[int]) -> PairFeatures:
    """Return the features of some pairs."""
    return replace(
        features,
        names=[features.names[i] for i in rows],
        reference={name: [clips[i] for i in rows] for name, clips in features.reference.items()},
        generated={name: [clips[i] for i in rows] for name, clips in features.generated.items()},
        captions=[features.captions[i] for i in rows],
        text=None if features.text is None else [features.text[i] for i in rows],
        as_generated=None
        if features.as_generated is None
        else {name: [clips[i] for i in rows] for name, clips in features.as_generated.items()},
    )


def finite_or_none(value: float) -> float | None:
    """Return a number that JSON has, None for others."""
    return value if math.isfinite(value) else None
