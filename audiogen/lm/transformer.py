"""Decoder blocks with cross-attention to text, and their initialization."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiogen.lm.attention import CrossAttention, SelfAttention, TextMask
from audiogen.lm.cache import Slot

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,  # the exact one, by the error function
    "relu": F.relu,
    "silu": F.silu,
}


def sinusoid(positions: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    """Encode positions as cosines, then sines, of geometrically spaced frequencies.

    Args:
        positions: [S], any numeric dtype, in steps from the start of the sequence.
        dim: even, at least 4.
        max_period: the frequencies run from 1 to 1 / max_period radians per step, both included.

    Returns:
        float32 [S, dim].
    """
    half = dim // 2
    exponents = torch.arange(half, device=positions.device) / (half - 1)
    phases = positions[:, None] / max_period**exponents
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


class LayerScale(nn.Module):
    """A learned factor per channel on what a branch adds."""

    def __init__(self, *, dim: int, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), float(start)))

    def forward(self, x: Tensor) -> Tensor:
        """Scale float [..., D]."""
        return self.scale.to(x.dtype) * x


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each with a LayerNorm and added to its input.

    Args:
        dim: D.
        num_heads: heads of both attentions.
        hidden_scale: width of the MLP, in units of ``dim``.
        dropout: share of every branch dropped in training.
        norm_first: normalize what a branch reads. False normalizes the sums instead, and then the
            cross-attention reads the block's input, as the reference does.
        bias_attn: both attentions have biases.
        bias_ff: the MLP has biases.
        layer_scale: first value of a learned factor on what a branch adds; None for no factor.
        activation: of the MLP, a name of `ACTIVATIONS`.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        hidden_scale: float,
        dropout: float,
        norm_first: bool = True,
        bias_attn: bool = False,
        bias_ff: bool = False,
        layer_scale: float | None = None,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        hidden = int(hidden_scale * dim)
        self.norm_first = norm_first
        self.activation = ACTIVATIONS[activation]
        self.norm_self = nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim=dim, num_heads=num_heads, bias=bias_attn)
        self.norm_cross = nn.LayerNorm(dim)
        self.cross_attention = CrossAttention(dim=dim, num_heads=num_heads, bias=bias_attn)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp_in = nn.Linear(dim, hidden, bias=bias_ff)
        self.mlp_out = nn.Linear(hidden, dim, bias=bias_ff)
        self.dropout = nn.Dropout(dropout)
        self.scale_self, self.scale_cross, self.scale_mlp = (
            nn.Identity() if layer_scale is None else LayerScale(dim=dim, start=layer_scale)
            for _ in range(3)
        )

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor] | Tensor | None,
        mask: TextMask | None,
        slot: Slot | None = None,
    ) -> Tensor:
        """Map float [B, S, D] to [B, S, D].

        ``memory`` is what `CrossAttention.memory` gave, or the text it is to be made of, and may
        hold fewer rows than ``x``: the rows behind them have no caption; None is for no row.
        """
        if isinstance(memory, Tensor):
            memory = self.cross_attention.memory(memory)
        captioned = 0 if memory is None else len(memory[0])
        if self.norm_first:
            x = x + self._attend(self.norm_self(x), slot)
            source = self.norm_cross(x[:captioned]) if captioned else x[:0]
            x = _add_rows(x, self._hear(source, memory, mask, rows=len(x)))
            return x + self._think(self.norm_mlp(x))
        heard = self._hear(x[:captioned], memory, mask, rows=len(x))
        x = self.norm_self(x + self._attend(x, slot))
        x = self.norm_cross(_add_rows(x, heard))
        return self.norm_mlp(x + self._think(x))

    def _attend(self, x: Tensor, slot: Slot | None) -> Tensor:
        return self.scale_self(self._drop(self.self_attention(x, slot)))

    def _hear(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor] | None,
        mask: TextMask | None,
        *,
        rows: int,
    ) -> Tensor:
        """Return what the captioned rows hear and, of a model with biases, silence behind them.

        Float [B, S, D] or [rows, S, D]: without biases those behind hear exactly zero.
        """
        heard = x if memory is None else self.cross_attention(x, memory, mask)
        silence = self.cross_attention.silence() if rows > len(x) else None
        if silence is not None:
            silences = silence.to(x.dtype).expand(rows - len(x), *x.shape[1:])
            heard = torch.cat([heard, silences])
        return self.scale_cross(self._drop(heard))

    def _think(self, x: Tensor) -> Tensor:
        hidden = self._drop(self.activation(self.mlp_in(x)))
        return self.scale_mlp(self._drop(self.mlp_out(hidden)))

    def _drop(self, x: Tensor) -> Tensor:
        return self.dropout(x) if self.training else x

    @torch.no_grad()
    def reset_parameters(
        self, scale: float, *, in_proj: bool, kind: str, generator: torch.Generator | None
    ) -> None:
        """Draw every matrix anew, of standard deviation scale / sqrt(fan in); biases are zero.

        Args:
            scale: see above.
            in_proj: false leaves the attention inputs at U(+-1 / sqrt(D)), as the reference does.
            kind: "gaussian" or "uniform", as in `init_weight`.
            generator: the source of randomness; None for the global one.
        """
        for name, linear in self.named_modules():
            if not isinstance(linear, nn.Linear):
                continue
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
            if in_proj or not name.endswith("in_proj"):
                std = scale / math.sqrt(linear.in_features)
                init_weight(linear.weight, std=std, kind=kind, generator=generator)
            else:
                bound = 1 / math.sqrt(linear.in_features)
                nn.init.uniform_(linear.weight, -bound, bound, generator=generator)


def _add_rows(x: Tensor, heard: Tensor) -> Tensor:
    """Add [B, S, D] to the first B rows of [R, S, D]; in place where no gradient is lost by it."""
    count = len(heard)
    if count == len(x):
        return x + heard
    if torch.is_grad_enabled():
        return torch.cat([x[:count] + heard, x[count:]])
    if count:
        x[:count] += heard
    return x


def init_weight(
    weight: Tensor, *, std: float, kind: str = "gaussian", generator: torch.Generator | None
) -> None:
    """Fill with a normal distribution cut at three deviations, or with U(+-sqrt(3) std)."""
    if kind == "uniform":
        bound = math.sqrt(3) * std
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    else:
        nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)
