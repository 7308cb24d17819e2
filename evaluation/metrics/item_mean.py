"""The mean of one value per item, as states that add up across processes."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ItemMean(Metric):
    """Mean of float64 values, one per item, in memory that does not grow with them.

    Items without a value (NaN) and perfect ones (+inf) are counted beside the mean instead of
    going into it, so one silent reference does not undo a validation. -inf goes in: a set with an
    item of which nothing is left has no better mean than that.
    """

    is_differentiable = False
    full_state_update = False

    total: Tensor
    count: Tensor  # items in the mean
    undefined: Tensor  # items without a value
    perfect: Tensor  # items with +inf

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("count", "undefined", "perfect"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def add(self, values: Tensor) -> None:
        """Add float64 [B] values."""
        counted = ~(values.isnan() | values.isposinf())
        self.total = self.total + values[counted].sum()
        self.count = self.count + counted.sum()
        self.undefined = self.undefined + values.isnan().sum()
        self.perfect = self.perfect + values.isposinf().sum()

    def compute(self) -> Tensor:
        """Return the mean, float64: +inf if all items are perfect, NaN if none has a value.

        Raises:
            ValueError: if no item was added.
        """
        if self.count + self.undefined + self.perfect == 0:
            raise ValueError("a mean needs one or more pairs, got none")
        if self.count == 0:
            return torch.full_like(self.total, torch.inf if self.perfect > 0 else torch.nan)
        return self.total / self.count
