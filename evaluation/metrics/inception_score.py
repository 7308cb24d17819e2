"""Inception score as a stream that keeps its logits."""

from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric

from evaluation.metrics.inception import check_order, inception_score, sound_order
from evaluation.metrics.kept import gather_rows, joined

__all__ = ["InceptionScore", "inception_score"]


class InceptionScore(Metric):
    """Inception score of generated sounds; see `inception_score` and `sound_order`.

    The sounds are split in their order, so the order is part of the number. Metrics that
    `merge_state` brings together need ``positions``: without them each counts its own sounds from
    zero, and those of the two are taken in turns.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    logits: list[Tensor]

    def __init__(
        self, classes: int, *, splits: int = 10, order: str = "audioldm_eval", seed: int = 0
    ) -> None:
        super().__init__(dist_sync_fn=partial(gather_rows, width=classes + 1))
        check_order(order)
        if classes < 1 or splits < 1:
            raise ValueError(f"classes and splits must be at least 1, got {classes} and {splits}")
        self.classes = classes
        self.splits = splits
        self.order = order
        self.seed = seed
        self.add_state("logits", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, positions: Tensor | None = None) -> None:
        """Add float [B, C] logits of B sounds.

        Args:
            logits: one row per sound.
            positions: int [B], the place of each sound in the set; None: they come in order, and
                to several processes in turns, as a distributed sampler deals them.
        """
        if logits.ndim != 2 or logits.shape[1] != self.classes:
            raise ValueError(f"expected logits [B, {self.classes}], got {list(logits.shape)}")
        if positions is None:
            start = sum(map(len, self.logits))
            positions = torch.arange(start, start + len(logits), device=logits.device)
        if positions.shape != logits.shape[:1]:
            raise ValueError(f"expected {len(logits)} positions, got {list(positions.shape)}")
        rows = torch.cat([positions.double()[:, None], logits.detach().double()], dim=1)
        self.logits.append(rows)

    def compute(self) -> Tensor:
        """Return the mean over splits, float64."""
        return self.mean_and_spread()[0]

    def mean_and_spread(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation over splits, float64."""
        rows = joined(self.logits, torch.zeros(0, self.classes + 1, dtype=torch.float64)).cpu()
        rows = rows[rows[:, 0].argsort(stable=True)]
        order = torch.from_numpy(sound_order(len(rows), order=self.order, seed=self.seed))
        return inception_score(rows[order, 1:], splits=self.splits)
