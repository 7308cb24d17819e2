"""Decoder blocks with cross-attention to text, their initialization, and their KV cache."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


@dataclass
class TextMask:
    """Which text positions each row attends to; a row without any gets exactly zero.

    The softmax of an empty set is NaN on some attention backends and zero on others, so an empty
    row attends everywhere and its result is discarded.
    """

    attend: Tensor  # bool [B, 1, 1, L], true somewhere in every row
    present: Tensor  # bool [B, 1, 1], false for a row that must contribute nothing

    @classmethod
    def of(cls, mask: Tensor | None) -> "TextMask | None":
        """Prepare a bool mask [B, L]; None attends to every position."""
        if mask is None:
            return None
        present = mask.any(dim=1, keepdim=True)
        return cls(attend=(mask | ~present)[:, None, None], present=present[:, None])


class KeyValueCache:
    """Keys and values of one layer, in buffers allocated once for the longest sequence."""

    def __init__(self, keys: Tensor) -> None:
        """Take the buffer of the keys, [R, H, S, d], and allocate one of the same kind."""
        self.keys = keys
        self.values = torch.empty_like(keys)
        self.length = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store [R, H, s, d] behind what is there; return views of all that is filled."""
        end = self.length + keys.shape[2]
        if end > self.keys.shape[2]:
            raise ValueError(
                f"the cache holds {self.keys.shape[2]} steps, got a sequence of {end}: "
                f"start with a larger max_steps"
            )
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]


class Attention(nn.Module):
    """Multi-head attention without biases; queries, keys and values share one projection.

    ``in_proj.weight`` is [3 D, D]: rows of the queries, then the keys, then the values.
    """

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(dim, 3 * dim, bias=False)
        self.out_proj = nn.Linear(dim, dim, bias=False)

    def split_heads(self, x: Tensor) -> Tensor:
        """Reshape [B, S, D] to [B, H, S, D / H]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:
        """Reshape [B, H, S, D / H] to [B, S, D] and project."""
        return self.out_proj(x.transpose(1, 2).flatten(2))


class SelfAttention(Attention):
    """Causal attention of a sequence to itself and to what a cache remembers."""

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Map float [B, S, D] to [B, S, D]; a cache makes the S steps follow those it holds."""
        queries, keys, values = (self.split_heads(part) for part in self.in_proj(x).chunk(3, -1))
        if cache is not None:
            keys, values = cache.append(keys, values)
            queries = queries.to(keys.dtype)  # a cache may be wider than the model
        mask, is_causal = _causality(queries.shape[2], keys.shape[2], x.device)
        attended = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=is_causal
        )
        return self.merge_heads(attended.to(x.dtype))


def _causality(num_queries: int, num_keys: int, device: torch.device) -> tuple[Tensor | None, bool]:
    """Mask and flag that let each of the last ``num_queries`` positions see none behind it."""
    if num_queries in (1, num_keys):
        return None, num_queries > 1
    seen = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return seen.tril(num_keys - num_queries), False


class CrossAttention(Attention):
    """Attention of a sequence to text."""

    def memory(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Project text [B, L, D] to keys and values [B, H, L, D / H], fixed for a caption."""
        dim = text.shape[-1]
        keys, values = F.linear(text, self.in_proj.weight[dim:]).chunk(2, -1)
        return self.split_heads(keys), self.split_heads(values)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: TextMask | None) -> Tensor:
        """Map float [B, S, D] to [B, S, D]; exactly zero for a row whose text is all masked."""
        dim = x.shape[-1]
        keys, values = memory
        queries = self.split_heads(F.linear(x, self.in_proj.weight[:dim])).to(keys.dtype)
        attended = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=None if mask is None else mask.attend
        )
        output = self.merge_heads(attended.to(x.dtype))
        return output if mask is None else output.where(mask.present, 0)


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each behind its LayerNorm and added to its input."""

    def __init__(self, *, dim: int, num_heads: int, hidden_scale: int, dropout: float) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim=dim, num_heads=num_heads)
        self.norm_cross = nn.LayerNorm(dim)
        self.cross_attention = CrossAttention(dim=dim, num_heads=num_heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp_in = nn.Linear(dim, hidden_scale * dim, bias=False)
        self.mlp_out = nn.Linear(hidden_scale * dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        mask: TextMask | None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Map float [B, S, D] to [B, S, D].

        ``memory`` may hold fewer rows than ``x``: the rows behind them have no caption, and as
        nothing here has a bias, having none adds exactly zero to them.
        """
        x = x + self.dropout(self.self_attention(self.norm_self(x), cache))
        captioned = x[: len(memory[0])]
        heard = self.dropout(self.cross_attention(self.norm_cross(captioned), memory, mask))
        x = x + F.pad(heard, (0, 0, 0, 0, 0, len(x) - len(captioned)))
        hidden = self.dropout(F.gelu(self.mlp_in(self.norm_mlp(x))))
        return x + self.dropout(self.mlp_out(hidden))

    @torch.no_grad()
    def reset_parameters(
        self, depth: int, *, in_proj: bool, generator: torch.Generator | None
    ) -> None:
        """Draw every matrix anew, narrower the deeper the block.

        Args:
            depth: 0 for the first block; its residual stream is the sum of 2 (depth + 1) parts.
            in_proj: false leaves the attention inputs at U(+-1 / sqrt(D)), as the reference does.
            generator: the source of randomness; None for the global one.
        """
        for name, linear in self.named_modules():
            if not isinstance(linear, nn.Linear):
                continue
            if in_proj or not name.endswith("in_proj"):
                std = 1 / math.sqrt(2 * (depth + 1) * linear.in_features)
                init_normal(linear.weight, std=std, generator=generator)
            else:
                bound = 1 / math.sqrt(linear.in_features)
                nn.init.uniform_(linear.weight, -bound, bound, generator=generator)


def init_normal(weight: Tensor, *, std: float, generator: torch.Generator | None) -> None:
    """Fill with a normal distribution cut at three standard deviations."""
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)
