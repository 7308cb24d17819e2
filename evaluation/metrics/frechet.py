"""Frechet distance between two sets of embeddings, as a stream: the metric of the training loop."""

import warnings

import torch
from torch import Tensor
from torchmetrics import Metric

from evaluation.metrics.feature_frechet import check_method, frechet_by_method
from evaluation.metrics.gaussian import (
    frechet_distance,
    merge_moments,
    pack_moments,
    small_sample_text,
    unpack_gaussian,
)
from evaluation.metrics.kept import SIDES, check_dim, check_update

__all__ = ["FrechetDistance", "SmallSampleWarning", "frechet_distance"]


class SmallSampleWarning(UserWarning):
    """Too few embeddings for the rank of their covariance: the distance is biased upward."""


class FrechetDistance(Metric):
    """Frechet distance of two streams of embeddings, in memory that does not grow with them.

    The state of a side is one float64 tensor, so that merging across processes sees count, mean
    and scatter together; it stays float64 under ``.half()`` and ``.float()``. Options as in
    `frechet_from_features`, but that "features" needs the embeddings, which are not kept.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    reference: Tensor
    generated: Tensor

    def __init__(
        self,
        dim: int,
        *,
        method: str = "auto",
        statistics: str = "float64",
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        check_dim(dim)
        check_method(method, statistics)
        if method == "features":
            raise ValueError("a stream keeps no embeddings for method features: use auto")
        self.dim = dim
        self.method = method
        self.statistics = statistics
        self.epsilon = epsilon
        for side in SIDES:
            empty = torch.zeros(1 + dim + dim * dim, dtype=torch.float64)
            self.add_state(side, empty, dist_reduce_fx=merge_moments)

    def update(self, embeddings: Tensor, *, side: str) -> None:
        """Add float [N, D] embeddings to ``side``, "reference" or "generated"."""
        check_update(embeddings, side=side, dim=self.dim)
        merged = merge_moments(torch.stack([getattr(self, side), pack_moments(embeddings)]))
        setattr(self, side, merged)

    def compute(self) -> Tensor:
        """Return the distance, float64; warns when a side has too few embeddings for full rank."""
        gaussians = [*self._gaussian("reference"), *self._gaussian("generated")]
        if self.statistics == "float32":
            gaussians = [part.float().double() for part in gaussians]
        return frechet_by_method(*gaussians, method=self.method, epsilon=self.epsilon)

    def _gaussian(self, side: str) -> tuple[Tensor, Tensor]:
        try:
            count, mean, cov = unpack_gaussian(getattr(self, side))
        except ValueError as error:
            raise ValueError(f"{side}: {error}") from error
        text = small_sample_text(count, self.dim, side=side)
        if text is not None:
            warnings.warn(text, SmallSampleWarning, stacklevel=2)
        return mean, cov
