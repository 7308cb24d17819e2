"""Generation as it is usually written: what the benchmark of decoding compares with.

Written here from the published description, with the patterns common to models of this kind:
README.md lists them. Weights come from our `TokenLM`, and tests hold that logits and greedy codes
are equal.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from audiogen.lm.model import TokenLM
from audiogen.lm.transformer import sinusoid
from recipes.speed.lm_baseline import PlainAttention, PlainLM

PUBLISHED = {  # what `PlainLM` takes for granted
    "norm_first": True,
    "bias_attn": False,
    "bias_ff": False,
    "bias_proj": False,
    "layer_scale": None,
    "activation": "gelu",
    "position_scale": 1.0,
    "max_period": 10_000.0,
}


def make_plain(lm: TokenLM, *, dtype: torch.dtype = torch.float32) -> PlainLM:
    """Rewrite a model of the published shape.

    Raises:
        ValueError: if it has another one.
    """
    other = sorted(name for name, value in PUBLISHED.items() if lm.config[name] != value)
    if other or not lm.delays:
        raise ValueError(
            f"the baseline is of the published shape, and this model has its own "
            f"{', '.join(other) or 'pattern'}: measure another model"
        )
    return PlainLM(lm).to(dtype).eval()


class PlainDecoder:
    """Reads a sequence with a cache that grows by concatenation.

    Args:
        lm: from `make_plain`.
        text: float [R, L, D], projected; zeros for a row without a caption.
    """

    def __init__(self, lm: PlainLM, text: Tensor) -> None:
        self.lm = lm
        self.text = text.to(lm.norm.weight.dtype)
        self.position = 0
        self.caches: list[tuple[Tensor, Tensor] | None] = [None] * len(lm.blocks)

    @torch.no_grad()
    def advance(self, sequence: Tensor) -> Tensor:
        """Read int64 [R, K, s]; predict the step behind them, float32 [R, K, N]."""
        x = sum(table(sequence[:, k]) for k, table in enumerate(self.lm.embeddings))
        assert isinstance(x, Tensor)
        positions = torch.arange(self.position, self.position + x.shape[1], device=x.device)
        x = x + sinusoid(positions, x.shape[2]).to(x.dtype)
        for n, block in enumerate(self.lm.blocks):
            x = x + self._attend(n, block.self_attention, block.norms[0](x))
            x = x + block.cross_attention(block.norms[1](x), self.text)
            x = x + block.mlp_out(F.gelu(block.mlp_in(block.norms[2](x))))
        self.position += sequence.shape[-1]
        x = self.lm.norm(x[:, -1:])
        return torch.stack([head(x) for head in self.lm.heads], dim=1)[:, :, -1].float()

    def _attend(self, n: int, attention: PlainAttention, x: Tensor) -> Tensor:
        parts = F.linear(x, attention.in_proj).chunk(3, dim=-1)
        queries, keys, values = (
            part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in parts
        )
        past = self.caches[n]
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        self.caches[n] = (keys, values)
        mask = None
        if x.shape[1] > 1:
            seen = torch.ones(x.shape[1], keys.shape[2], dtype=torch.bool, device=x.device)
            mask = seen.tril(keys.shape[2] - x.shape[1])
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return F.linear(attended.transpose(1, 2).flatten(2), attention.out_proj)


def next_codes(
    decoder: PlainDecoder, sequence: Tensor, *, scale: float, top_k: int, greedy: bool = False
) -> Tensor:
    """Read int64 [B, K, s] with a caption and without, guide, and choose int64 [B, K]."""
    conditional, unconditional = decoder.advance(torch.cat([sequence, sequence])).chunk(2)
    logits = unconditional + scale * (conditional - unconditional)
    return logits.argmax(dim=-1) if greedy else sample_plainly(logits, top_k=top_k)


def sample_plainly(logits: Tensor, *, top_k: int) -> Tensor:
    """Draw int64 [B, K] from the k most likely codes: softmax, sort, renormalize, multinomial."""
    probabilities = torch.softmax(logits, dim=-1)
    ordered, order = probabilities.sort(dim=-1, descending=True)
    ordered[..., top_k:] = 0
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    drawn = torch.multinomial(ordered.flatten(0, -2), 1).view(*logits.shape[:-1], 1)
    return order.gather(-1, drawn)[..., 0]


def with_and_without(text: Tensor) -> Tensor:
    """Put rows without a caption behind those with one: float [2 B, L, D]."""
    return torch.cat([text, torch.zeros_like(text)])


def generate_plainly(
    lm: PlainLM,
    text: Tensor,
    *,
    num_frames: int,
    scale: float = 3.0,
    top_k: int = 250,
    greedy: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Generate codes int64 [B, K, T] for text float [B, L, D], projected.

    ``progress`` is told frames done and to do, as by `audiogen.lm.generate.generate_codes`.
    """
    decoder = PlainDecoder(lm, with_and_without(text))
    steps = num_frames + max(lm.delays)
    shape = (len(text), len(lm.delays), steps + 1)
    sequence = torch.full(shape, lm.special_token, device=text.device)
    for step in range(1, steps + 1):
        codes = next_codes(
            decoder, sequence[:, :, step - 1 : step], scale=scale, top_k=top_k, greedy=greedy
        )
        for k, delay in enumerate(lm.delays):
            if delay < step <= num_frames + delay:
                sequence[:, k, step] = codes[:, k]
        if progress is not None and step > max(lm.delays):
            progress(step - max(lm.delays), num_frames)
    rows = [sequence[:, k, delay + 1 : delay + 1 + num_frames] for k, delay in enumerate(lm.delays)]
    return torch.stack(rows, dim=1)
