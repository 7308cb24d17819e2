"""A second language model, written from the description of the published one, under its names.

Its own state dict is a published state; every matrix product is written out.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {"gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), "relu": F.relu}


class PlainAttention(nn.Module):
    def __init__(self, dim: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim)) if bias else None
        self.out_proj = nn.Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor, heard: Tensor, *, causal: bool) -> Tensor:
        weights = self.in_proj_weight.chunk(3)
        biases = [0, 0, 0] if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            (source @ w.T + b).unflatten(-1, (self.heads, -1))
            for source, w, b in zip((x, heard, heard), weights, biases, strict=True)
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
        if causal:
            ahead = torch.arange(k.shape[1]) > torch.arange(q.shape[1])[:, None]
            scores = scores.masked_fill(ahead, -math.inf)
        attended = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)
        return self.out_proj(attended.flatten(2))


class Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class PlainLayer(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        dim, hidden = c["dim"], int(c["hidden_scale"] * c["dim"])
        self.self_attn = PlainAttention(dim, c["num_heads"], bias=c["bias_attn"])
        self.linear1 = nn.Linear(dim, hidden, bias=c["bias_ff"])
        self.linear2 = nn.Linear(hidden, dim, bias=c["bias_ff"])
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        scaled = c["layer_scale"] is not None
        self.layer_scale_1 = Scale(dim) if scaled else nn.Identity()
        self.layer_scale_2 = Scale(dim) if scaled else nn.Identity()
        self.cross_attention = PlainAttention(dim, c["num_heads"], bias=c["bias_attn"])
        self.norm_cross = nn.LayerNorm(dim)
        self.layer_scale_cross = Scale(dim) if scaled else nn.Identity()
        self.norm_first, self.act = c["norm_first"], ACTIVATIONS[c["activation"]]

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        if self.norm_first:
            y = self.norm1(x)
            x = x + self.layer_scale_1(self.self_attn(y, y, causal=True))
            heard = self.cross_attention(self.norm_cross(x), text, causal=False)
            x = x + self.layer_scale_cross(heard)
            return x + self.layer_scale_2(self._feed(self.norm2(x)))
        heard = self.layer_scale_cross(self.cross_attention(x, text, causal=False))
        x = self.norm1(x + self.layer_scale_1(self.self_attn(x, x, causal=True)))
        x = self.norm_cross(x + heard)
        return self.norm2(x + self.layer_scale_2(self._feed(x)))

    def _feed(self, x: Tensor) -> Tensor:
        return self.linear2(self.act(self.linear1(x)))


class PlainLM(nn.Module):
    """Build from ``transformer_lm`` of a published configuration."""

    def __init__(self, config: dict[str, Any], *, text_dim: int) -> None:
        super().__init__()
        c = {"max_period": 10000.0, "positional_scale": 1.0, **config}
        dim, self.c = c["dim"], c
        description = nn.ModuleDict({"output_proj": nn.Linear(text_dim, dim)})
        conditioners = nn.ModuleDict({"description": description})
        self.condition_provider = nn.ModuleDict({"conditioners": conditioners})
        self.emb = nn.ModuleList(nn.Embedding(c["card"] + 1, dim) for _ in range(c["n_q"]))
        self.transformer = nn.ModuleDict(
            {"layers": nn.ModuleList(PlainLayer(c) for _ in range(c["num_layers"]))}
        )
        if c["norm_first"]:
            self.out_norm = nn.LayerNorm(dim)
        self.linears = nn.ModuleList(
            nn.Linear(dim, c["card"], bias=c["bias_proj"]) for _ in range(c["n_q"])
        )

    def project(self, states: Tensor, mask: Tensor) -> Tensor:
        project = self.condition_provider["conditioners"]["description"]["output_proj"]
        return project(states) * mask[..., None]

    def forward(self, sequence: Tensor, text: Tensor) -> Tensor:
        """Map int64 [B, K, S] and projected text [B, L, D] to logits [B, K, S, N]."""
        x = torch.stack([emb(sequence[:, k]) for k, emb in enumerate(self.emb)]).sum(0)
        half = self.c["dim"] // 2
        positions = []
        for p in range(sequence.shape[-1]):
            phases = [p / self.c["max_period"] ** (j / (half - 1)) for j in range(half)]
            positions.append([math.cos(a) for a in phases] + [math.sin(a) for a in phases])
        x = x + self.c["positional_scale"] * torch.tensor(positions)
        for layer in self.transformer["layers"]:
            x = layer(x, text)
        if self.c["norm_first"]:
            x = self.out_norm(x)
        return torch.stack([linear(x) for linear in self.linears], dim=1)


def build_plain_lm(config: dict[str, Any], *, text_dim: int = 32, seed: int = 0) -> PlainLM:
    """Build with no tensor at its default value, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lm = PlainLM(config["transformer_lm"], text_dim=text_dim)
        with torch.no_grad():
            for name, parameter in lm.named_parameters():
                width = parameter.shape[-1] if parameter.ndim == 2 else 4
                parameter.copy_(torch.randn_like(parameter) / math.sqrt(width))
                if "norm" in name and name.endswith("weight"):
                    parameter.add_(1)
    return lm.eval()


@torch.no_grad()
def plain_greedy(
    lm: PlainLM, text: Tensor, *, delays: list[int], prompt: Tensor, frames: int, scale: float
) -> Tensor:
    """Most likely codes int64 [B, K, T], guided away from zero text; all is read at every step."""
    special, steps = lm.c["card"], frames + max(delays) + 1
    sequence = torch.full((len(text), len(delays), steps), special)
    for k, delay in enumerate(delays):
        sequence[:, k, 1 + delay : 1 + delay + prompt.shape[-1]] = prompt[:, k]
    for step in range(1, steps):
        seen = sequence[:, :, :step]
        heard, silent = lm(seen, text)[:, :, -1], lm(seen, torch.zeros_like(text))[:, :, -1]
        best = (silent + scale * (heard - silent)).argmax(-1)
        for k, delay in enumerate(delays):
            if prompt.shape[-1] <= step - 1 - delay < frames:
                sequence[:, k, step] = best[:, k]
    starts = [1 + delay for delay in delays]
    return torch.stack([sequence[:, k, s : s + frames] for k, s in enumerate(starts)], dim=1)
