"""TokenLM: K codebooks and a caption -> the distribution of the next code of each codebook."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from audiogen.lm.transformer import Block, TextMask, init_normal, sinusoid
from audiogen.tokens.patterns import align_logits, build_sequence, check_delays, delay_layout

INITS = ("complete", "reference")
NOT_KEYWORDS = ("self", "__class__")


class TokenLM(nn.Module):
    """Decoder-only transformer over interleaved codes, reading text by cross-attention.

    Blocks are pre-norm and free of biases; positions are sinusoids added to the sum of the K code
    embeddings. The special token, id ``codebook_size``, stands where a step holds no code; it can
    be read and is never predicted.

    Args:
        num_codebooks: K.
        codebook_size: N, codes per codebook.
        text_dim: width of the text encoder's states.
        dim: D, width of the residual stream; even, a multiple of ``num_heads``.
        num_layers: number of blocks.
        num_heads: heads of every attention.
        delays: K shifts of the interleaving pattern, in frames.
        hidden_scale: width of the MLP, in units of ``dim``.
        dropout: share of every branch dropped in training; drawn from torch's global stream.
        embedding_std: width of the initial code embeddings; None for 1 / sqrt(dim). Small models
            learn faster with about 0.1.
        position_scale: factor on the sinusoids, whose root mean square is 0.7 at scale 1.
        init: "complete" draws every matrix from the depth-scaled normal; "reference" leaves the
            attention input projections out of it, as the published training code does.

    Source: MusicGen (arXiv:2306.05284), section 2.
    """

    def __init__(
        self,
        *,
        num_codebooks: int,
        codebook_size: int,
        text_dim: int,
        dim: int,
        num_layers: int,
        num_heads: int,
        delays: Sequence[int],
        hidden_scale: int = 4,
        dropout: float = 0.0,
        embedding_std: float | None = None,
        position_scale: float = 1.0,
        init: str = "complete",
    ) -> None:
        # Nothing but the keywords is local yet; the comprehension's source is this very scope.
        keywords = {name: value for name, value in locals().items() if name not in NOT_KEYWORDS}
        super().__init__()
        self.config: dict[str, Any] = keywords | {"delays": [int(delay) for delay in delays]}
        check_delays(delays, num_codebooks)
        _check_shape(codebook_size=codebook_size, dim=dim, num_heads=num_heads, layers=num_layers)
        if init not in INITS:
            raise ValueError(f"init must be one of {INITS}, got {init!r}")
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size
        self.dim, self.num_heads = dim, num_heads
        self.delays: list[int] = self.config["delays"]
        self.special_token = codebook_size
        self.position_scale = position_scale
        self.text_projection = nn.Linear(text_dim, dim)
        self.embedding = nn.Embedding(num_codebooks * (codebook_size + 1), dim)
        layer = {"dim": dim, "num_heads": num_heads, "hidden_scale": hidden_scale}
        self.blocks = nn.ModuleList(Block(**layer, dropout=dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_codebooks * codebook_size, bias=False)
        offsets = torch.arange(num_codebooks)[:, None] * (codebook_size + 1)
        self.offsets: Tensor
        self.register_buffer("offsets", offsets, persistent=False)
        self.reset_parameters()

    def reset_parameters(self, *, generator: torch.Generator | None = None) -> None:
        """Draw all weights but the text projection's anew; LayerNorms stay as they are.

        Normals are cut at three standard deviations of 1 / sqrt(fan in), in block ``i`` divided by
        sqrt(2 (i + 1)); embeddings count ``dim`` as their fan in.
        """
        std = 1 / math.sqrt(self.dim)
        embedding_std = self.config["embedding_std"]
        init_normal(
            self.embedding.weight,
            std=std if embedding_std is None else embedding_std,
            generator=generator,
        )
        init_normal(self.head.weight, std=std, generator=generator)
        for depth, block in enumerate(self.layers):
            in_proj = self.config["init"] == "complete"
            block.reset_parameters(depth, in_proj=in_proj, generator=generator)

    @property
    def layers(self) -> list[Block]:
        """The blocks, in order."""
        return cast(list[Block], list(self.blocks))

    def project_text(self, states: Tensor, mask: Tensor) -> Tensor:
        """Bring text states [B, L, text_dim] to the LM's width.

        Returns:
            float [B, L, D], exactly zero where ``mask``, bool [B, L], is false.
        """
        weight = self.text_projection.weight
        return self.text_projection(states.to(weight.dtype)).where(mask[..., None], 0)

    def forward(self, sequence: Tensor, text: Tensor, text_mask: Tensor | None = None) -> Tensor:
        """Predict the step that follows each step.

        Args:
            sequence: int64 [B, K, S] in [0, N], interleaved; N is the special token.
            text: float [B, L, D], projected (`project_text`).
            text_mask: bool [B, L], true where text may be attended to; a row without any
                contributes exactly zero. None attends to every position, zero padding included,
                which is what the published models were trained with.

        Returns:
            float [B, K, S, N] logits.
        """
        mask = TextMask.of(text_mask)
        x = self.embed(sequence)
        for block in self.layers:
            x = block(x, block.cross_attention.memory(text), mask)
        return self.to_logits(x)

    def predict(
        self, codes: Tensor, states: Tensor, mask: Tensor | None = None, *, complete: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Predict every code from those before it (teacher forcing), aligned to the codes.

        Args:
            codes: int64 [B, K, T] in [0, N]; the special token N hides a code.
            states: float [B, L, D], projected (`project_text`).
            mask: bool [B, L] or None, as the ``text_mask`` of `forward`.
            complete: also read the steps behind the first T, so that delayed codebooks get their
                last frames predicted. The default reads T steps, as the reference trains.

        Returns:
            logits: float [B, K, T, N]; NaN where invalid.
            valid: bool [B, K, T]; codebook ``k`` lacks its last ``delays[k]`` frames, and all of
                them when T is not longer, unless ``complete``.
        """
        layout = delay_layout(self.delays, codes.shape[-1])
        num_steps = layout.shape[1] - 1 if complete else codes.shape[-1]
        sequence = build_sequence(codes, layout[:, :num_steps], fill=self.special_token)
        logits, valid = align_logits(self(sequence, states, mask), layout)
        return logits, valid.expand(codes.shape)

    def embed(self, sequence: Tensor, *, start: int = 0) -> Tensor:
        """Sum the code embeddings of int64 [B, K, S], the first at step ``start``; add positions.

        Returns:
            float [B, S, D].
        """
        if sequence.ndim != 3 or sequence.shape[1] != self.num_codebooks:
            raise ValueError(
                f"expected a sequence [B, {self.num_codebooks}, S] of codes, "
                f"got shape {list(sequence.shape)}"
            )
        x = self.embedding(sequence + self.offsets).sum(dim=1)
        positions = torch.arange(start, start + sequence.shape[-1], device=x.device)
        return x + (self.position_scale * sinusoid(positions, self.dim)).to(x.dtype)

    def to_logits(self, x: Tensor) -> Tensor:
        """Map the residual stream [B, S, D] to logits [B, K, S, N]."""
        logits = self.head(self.norm(x)).unflatten(-1, (self.num_codebooks, self.codebook_size))
        return logits.transpose(1, 2)


def _check_shape(*, codebook_size: int, dim: int, num_heads: int, layers: int) -> None:
    if codebook_size < 2 or layers < 1:
        raise ValueError(
            f"expected codebook_size of at least 2 and num_layers of at least 1, "
            f"got {codebook_size} and {layers}"
        )
    if dim < 4 or dim % 2 or num_heads < 1 or dim % num_heads:
        raise ValueError(
            f"dim must be even, at least 4 and a multiple of num_heads, got dim={dim} and "
            f"num_heads={num_heads}: change one of them"
        )
