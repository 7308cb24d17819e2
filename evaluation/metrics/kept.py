"""What metrics keep besides a number: a value per item, or the embeddings themselves."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

SIDES = ("reference", "generated")


class KeptValues(Metric):
    """Mean of float64 values, one per item, all of which are kept: 8 bytes each."""

    is_differentiable = False
    full_state_update = False

    values: list[Tensor]

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=partial(gather_rows, width=None))
        self.add_state("values", [], dist_reduce_fx="cat")

    def compute(self) -> Tensor:
        """Return the mean, float64.

        Raises:
            ValueError: if no pair was added.
        """
        values = self.per_item()
        if len(values) == 0:
            raise ValueError(f"the mean of {type(self).__name__} needs one or more pairs, got none")
        return values.mean()

    def per_item(self) -> Tensor:
        """Return the value of every item, float64 [items], in the order they were added."""
        return joined(self.values, torch.zeros(0, dtype=torch.float64))


class KeptEmbeddings(Metric):
    """The embeddings of both sides, for measures that need them all: 8 bytes per number.

    What is computed of them does not depend on the order they came in, nor on the process: rows
    are sorted first.
    """

    is_differentiable = False
    full_state_update = False

    reference: list[Tensor]
    generated: list[Tensor]

    def __init__(self, dim: int) -> None:
        super().__init__(dist_sync_fn=partial(gather_rows, width=dim))
        check_dim(dim)
        self.dim = dim
        for side in SIDES:
            self.add_state(side, [], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, *, side: str) -> None:
        """Add float [N, D] embeddings to ``side``, "reference" or "generated"."""
        check_update(embeddings, side=side, dim=self.dim)
        getattr(self, side).append(embeddings.detach().double())

    def rows(self, side: str) -> Tensor:
        """Return the embeddings of a side, float64 [N, D], in an order of their own."""
        rows = joined(getattr(self, side), torch.zeros(0, self.dim, dtype=torch.float64)).cpu()
        for column in reversed(range(self.dim)):
            rows = rows[rows[:, column].argsort(stable=True)]
        return rows


def check_dim(dim: int) -> None:
    """Refuse a width that embeddings cannot have.

    Raises:
        ValueError: if it is less than 1.
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, got {dim}")


def check_update(embeddings: Tensor, *, side: str, dim: int) -> None:
    """Refuse what cannot be added to a side.

    Args:
        embeddings: float [N, D], all finite.
        side: "reference" or "generated".
        dim: the D that was announced.

    Raises:
        ValueError: naming the side, the shape or the values that are wrong.
    """
    if side not in SIDES:
        raise ValueError(f"side must be one of {', '.join(SIDES)}, got {side!r}")
    if embeddings.ndim != 2 or embeddings.shape[1] != dim:
        raise ValueError(
            f"expected embeddings [N, {dim}], got {list(embeddings.shape)}: "
            "pass dim= of the embedder"
        )
    if not embeddings.isfinite().all():
        raise ValueError(f"{side} embeddings hold NaN or infinite values: check the sounds")


def gather_rows(rows: Tensor, group: Any = None, *, width: int | None) -> list[Tensor]:
    """Gather rows of all processes; one without any takes part with no rows of the right kind."""
    if rows.numel() == 0:
        shape = (0,) if width is None else (0, width)
        rows = torch.zeros(shape, dtype=torch.float64, device=rows.device)
    return gather_all_tensors(rows, group)


def joined(pieces: list[Tensor] | Tensor, empty: Tensor) -> Tensor:
    """Join what was added, before and after it was gathered."""
    if isinstance(pieces, Tensor):
        return pieces
    return torch.cat(pieces) if pieces else empty
