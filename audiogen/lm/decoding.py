"""Reading a sequence step by step: what a `TokenLM` remembers between two steps."""

import torch
from torch import Tensor

from audiogen.lm.attention import KeyValueCache, TextMask
from audiogen.lm.model import TokenLM
from audiogen.products import step_products


class StepDecoder:
    """One pass of a `TokenLM` over a growing sequence, every step read once.

    The caption's keys and values are computed when it is built; those of the sequence are kept in
    buffers allocated once, of which only the filled part is read.

    Args:
        lm: in evaluation mode.
        text: float [B, L, D], projected (`TokenLM.project_text`).
        text_mask: bool [B, L] or None, as in `TokenLM.forward`.
        rows: R, rows of the sequences to come, at least B. The R - B last have no caption, which
            costs them no cross-attention.
        max_steps: the longest sequence that will be read.
    """

    def __init__(
        self, lm: TokenLM, *, text: Tensor, text_mask: Tensor | None, rows: int, max_steps: int
    ) -> None:
        if rows < len(text):
            raise ValueError(f"expected rows of at least the {len(text)} captions, got {rows}")
        self.lm = lm
        self.position = 0  # steps read so far
        weight = lm.embedding.weight
        # Attention of one query is about three times slower in bfloat16 than in float32 on a CPU.
        dtype = torch.float32 if weight.device.type == "cpu" else weight.dtype
        self.mask = TextMask.of(text_mask)
        self.memories = [
            (keys.to(dtype), values.to(dtype))
            for keys, values in (block.cross_attention.memory(text) for block in lm.layers)
        ]
        shape = (rows, lm.num_heads, max_steps, lm.dim // lm.num_heads)
        self.caches = [
            KeyValueCache(torch.empty(shape, dtype=dtype, device=weight.device)) for _ in lm.layers
        ]

    def advance(self, sequence: Tensor) -> Tensor:
        """Read the steps that follow those already read, and predict the one behind them.

        Args:
            sequence: int64 [R, K, s], s at least 1.

        Returns:
            float32 [R, K, N] logits.
        """
        with step_products(self.lm.dim):
            return self._advance(sequence)

    def _advance(self, sequence: Tensor) -> Tensor:
        x = self.lm.embed(sequence, start=self.position)
        for block, memory, cache in zip(self.lm.layers, self.memories, self.caches, strict=True):
            x = block(x, memory, self.mask, cache)
        self.position += sequence.shape[-1]
        return self.lm.to_logits(x[:, -1:])[:, :, 0].float()
