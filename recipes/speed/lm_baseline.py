"""The language model as it is usually written: what the benchmark compares with.

Written here from the published description, with the patterns common to models of this kind, so
that a ratio has a denominator that anybody can run: README.md lists them. Weights come from our
`TokenLM`, and tests hold that logits, losses and gradients are equal.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.lm.model import TokenLM
from audiogen.lm.transformer import Block, CrossAttention, SelfAttention, sinusoid

TextEncoding = Callable[[Sequence[str | None]], tuple[Tensor, Tensor]]


class PlainAttention(nn.Module):
    """Attention to itself, or to a memory that is projected at every call."""

    def __init__(self, ours: SelfAttention | CrossAttention) -> None:
        super().__init__()
        self.num_heads = ours.num_heads
        self.in_proj = nn.Parameter(ours.in_proj.weight.detach().clone())
        self.out_proj = nn.Parameter(ours.out_proj.weight.detach().clone())

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """Map float [B, S, D], and a memory [B, L, D], to float [B, S, D]."""
        if memory is None:
            parts = F.linear(x, self.in_proj).chunk(3, dim=-1)
        else:
            weights = self.in_proj.chunk(3)
            parts = tuple(
                F.linear(source, weight)
                for source, weight in zip((x, memory, memory), weights, strict=True)
            )
        heads = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(*heads, is_causal=memory is None)
        return F.linear(attended.transpose(1, 2).flatten(2), self.out_proj)


class PlainBlock(nn.Module):
    """A pre-norm block."""

    def __init__(self, ours: Block) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(ours.norm_self.normalized_shape) for _ in range(3))
        for norm, own in zip(
            self.norms, (ours.norm_self, ours.norm_cross, ours.norm_mlp), strict=True
        ):
            norm.load_state_dict(own.state_dict())
        self.self_attention = PlainAttention(ours.self_attention)
        self.cross_attention = PlainAttention(ours.cross_attention)
        self.mlp_in = _copied(ours.mlp_in)
        self.mlp_out = _copied(ours.mlp_out)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Map float [B, S, D] to the same shape."""
        x = x + self.self_attention(self.norms[0](x))
        x = x + self.cross_attention(self.norms[1](x), text)
        return x + self.mlp_out(F.gelu(self.mlp_in(self.norms[2](x))))


class PlainLM(nn.Module):
    """A `TokenLM` of the published shape, rewritten: a table and a head per codebook."""

    def __init__(self, ours: TokenLM) -> None:
        super().__init__()
        self.delays, self.special_token = ours.delays, ours.special_token
        self.text_projection = _copied(ours.text_projection)
        self.embeddings = nn.ModuleList(
            nn.Embedding.from_pretrained(table.detach().clone(), freeze=False)
            for table in ours.embedding.weight.chunk(ours.num_codebooks)
        )
        self.blocks = nn.ModuleList(PlainBlock(block) for block in ours.layers)
        self.norm = nn.LayerNorm(ours.dim)
        self.norm.load_state_dict(ours.norm.state_dict())
        self.heads = nn.ModuleList()
        for weight in ours.head.weight.chunk(ours.num_codebooks):
            head = nn.Linear(ours.dim, ours.codebook_size, bias=False, device=weight.device)
            head.weight = nn.Parameter(weight.detach().clone())
            self.heads.append(head)
        self.to(ours.head.weight.device)

    def forward(self, sequence: Tensor, text: Tensor) -> Tensor:
        """Map int64 [B, K, S] and text states [B, L, D] to float [B, K, S, N]."""
        x = sum(table(sequence[:, k]) for k, table in enumerate(self.embeddings))
        assert isinstance(x, Tensor)
        waves = sinusoid(torch.arange(x.shape[1], device=x.device), x.shape[2])
        x = x + waves.to(x.dtype)
        for block in self.blocks:
            x = block(x, text)
        x = self.norm(x)
        return torch.stack([head(x) for head in self.heads], dim=1)

    def predict(self, codes: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Predict codes int64 [B, K, T]: float [B, K, T, N], NaN where invalid; bool [B, K, T]."""
        frames = codes.shape[-1]
        delayed = torch.full_like(codes, self.special_token)
        for k, delay in enumerate(self.delays):
            delayed[:, k, delay + 1 :] = codes[:, k, : frames - delay - 1]
        logits = self(delayed, text)
        aligned = torch.full_like(logits, torch.nan)
        valid = torch.zeros_like(codes, dtype=torch.bool)
        for k, delay in enumerate(self.delays):
            aligned[:, k, : frames - delay] = logits[:, k, delay:]
            valid[:, k, : frames - delay] = True
        return aligned, valid

    def project_text(self, states: Tensor, mask: Tensor) -> Tensor:
        """Bring text states [B, L, text_dim] to the width of the model, zero where padded."""
        return self.text_projection(states) * mask[..., None]

    def as_ours(self, value: Callable[[nn.Parameter], Tensor | None]) -> dict[str, Tensor | None]:
        """Return a value of every parameter, by the names that `TokenLM` has for them."""
        found: dict[str, Tensor | None] = {
            rename(name): value(parameter)
            for name, parameter in self.named_parameters()
            if not name.startswith(("embeddings", "heads"))
        }
        for name, parts in (("embedding", self.embeddings), ("head", self.heads)):
            values = [value(part.weight) for part in parts]
            whole = [part for part in values if part is not None]
            found[f"{name}.weight"] = torch.cat(whole) if len(whole) == len(values) else None
        return found


def stacked_loss(logits: Tensor, codes: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Average the cross-entropies of the codebooks, each over a copy of its chosen logits."""
    losses = [
        F.cross_entropy(logits[:, k][mask[:, k]], codes[:, k][mask[:, k]])
        for k in range(codes.shape[1])
    ]
    return sum(losses, torch.zeros((), device=codes.device)) / len(losses), losses


class PlainTraining:
    """One update after the other, float32, eager, parameter by parameter.

    Args:
        lm: to train.
        encode: captions -> states float [B, L, text_dim] and mask bool [B, L], at every update.
        limit: of the global norm of the gradients.
    """

    def __init__(self, lm: PlainLM, *, encode: TextEncoding, limit: float = 1.0) -> None:
        self.lm, self.encode, self.limit = lm.train(), encode, limit
        self.optimizer = torch.optim.AdamW(
            lm.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, foreach=False
        )

    def step(self, batch: Mapping[str, object]) -> dict[str, float]:
        """Update on codes, code_mask and captions; return the losses, as numbers at once."""
        codes, mask, captions = batch["codes"], batch["code_mask"], batch["captions"]
        assert isinstance(codes, Tensor)
        text = self.lm.project_text(*self.encode(captions))  # type: ignore[arg-type]
        logits, valid = self.lm.predict(codes, text)
        loss, losses = stacked_loss(logits, codes, valid & mask)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.lm.parameters(), self.limit)
        self.optimizer.step()
        values = {f"codebook_{k}": part.item() for k, part in enumerate(losses)}
        return values | {"loss": loss.item()}


def rename(name: str) -> str:
    """Name a parameter of a plain block as our model names it."""
    for number, norm in enumerate(("norm_self", "norm_cross", "norm_mlp")):
        name = name.replace(f"norms.{number}", norm)
    return f"{name}.weight" if name.endswith("_proj") else name


def _copied(linear: nn.Linear) -> nn.Linear:
    bias = linear.bias is not None
    copied = nn.Linear(linear.in_features, linear.out_features, bias=bias)
    copied.load_state_dict(linear.state_dict())
    return copied
