"""Linear layers of fewer bits on a CPU, float32 outside: what a fast language model is made of."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogen.lm.attention import CrossAttention

Make = Callable[[Tensor, Tensor | None], Any]
LARGEST = 127  # of an int8, the same on both sides of zero
LEAST = 1e-30  # range of a row or column of zeros


class Bfloat16Linear(nn.Module):
    """A linear layer in bfloat16, float32 outside, packed once in oneDNN's own order."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        rounded = finite(weight).to(torch.bfloat16)
        self.packs = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        reorder = torch.ops.mkldnn._reorder_linear_weight
        self.weight = reorder(rounded) if self.packs else rounded
        self.bias = None if bias is None else bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [..., D] to float32 [..., E]."""
        # One row alone took twenty times as long as two on a processor of an older kind.
        alone = x.numel() == x.shape[-1]
        rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
        product = self._multiply(F.pad(rows, (0, 0, 0, 1)) if alone else rows)
        product = product[: len(rows)].float().view(*x.shape[:-1], -1)
        return product if self.bias is None else product + self.bias

    def _multiply(self, rows: Tensor) -> Tensor:
        if not self.packs:
            return F.linear(rows, self.weight)
        multiply = torch.ops.mkldnn._linear_pointwise
        return cast(Tensor, multiply(rows, self.weight, None, "none", [], ""))


class Int8Linear(nn.Module):
    """A linear layer of int8 weights, a scale per output; inputs int8, a scale per row."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        exact = finite(weight).float()
        scales = exact.abs().amax(dim=1).clamp(min=LEAST).double() / LARGEST
        zeros = torch.zeros(len(exact), dtype=torch.long)
        rounded = torch.quantize_per_channel(exact, scales, zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(rounded, None)
        self.bias = None if bias is None else bias.detach().clone()
        # A product quantizes by the range of all its rows. Each is brought to [-1, 1], and one more
        # has both ends: so the range is always that, whatever rows are there.
        self.ends = torch.zeros(1, exact.shape[1])
        self.ends[0, 0], self.ends[0, 1] = 1, -1
        # Without these instructions sums of two full products overflow: inputs then get 7 bits.
        self.reduce_range = not torch.cpu._is_vnni_supported()

    @property
    def weight(self) -> Tensor:
        """The weight as it is held, quantized per row: qint8 [E, D]."""
        return cast(Tensor, torch.ops.quantized.linear_unpack(self.packed)[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [..., D] to float32 [..., E]."""
        largest = x.abs().amax(dim=-1, keepdim=True).clamp_(min=LEAST)
        rows = torch.cat([(x / largest).reshape(-1, x.shape[-1]), self.ends])
        try:
            product = torch.ops.quantized.linear_dynamic(rows, self.packed, self.reduce_range)
        except RuntimeError:  # there is no range with NaN in it, and there shall be no result
            if bool(rows.isfinite().all()):
                raise
            product = torch.full((len(rows), len(self.weight)), torch.nan)
        product = product[:-1].view(*x.shape[:-1], -1).mul_(largest)
        return product if self.bias is None else product + self.bias


class FastCrossAttention(CrossAttention):
    """Its projection in two: what the sequence asks with, and what the text is projected by."""

    def __init__(self, exact: CrossAttention, *, make: Make, out_proj: Any) -> None:
        nn.Module.__init__(self)
        if not isinstance(exact.in_proj, nn.Linear):
            raise ValueError("the language model has adapters: merge them before making it fast")
        self.num_heads, self.out_proj = exact.num_heads, out_proj
        weight, bias = exact.in_proj.weight, exact.in_proj.bias
        dim = weight.shape[1]
        parts = (slice(dim), slice(dim, None))
        self.asks, self.tells = (
            make(weight[part], None if bias is None else bias[part]) for part in parts
        )
        self.value_bias = None if bias is None else bias.detach()[2 * dim :].clone()

    def silence(self) -> Tensor | None:
        """Return what a text of zeros contributes, as `CrossAttention.silence` does."""
        return None if self.value_bias is None else self.out_proj(self.value_bias)

    def _project(self, x: Tensor, rows: slice) -> Tensor:
        projected: Tensor = (self.asks if rows.start is None else self.tells)(x)
        return projected


def finite(weight: Tensor) -> Tensor:
    """Refuse a weight with NaN or an infinity, which int8 would turn into numbers."""
    weight = weight.detach()
    if not bool(weight.isfinite().all()):
        raise ValueError("the language model has weights that are not finite: it cannot be rounded")
    return weight
