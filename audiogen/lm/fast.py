"""Options that trade a known error of a language model for speed: for inference, when asked for.

| option | what it changes |
|---|---|
| ``linear="bfloat16"`` | linear layers of blocks and head multiply in bfloat16, packed for oneDNN |
| ``linear="int8"`` | their weights become int8, their inputs int8 row by row; on a CPU |

"near" is the first, "fast" the second. On a GPU both keep the whole model in bfloat16.

On a CPU the residual stream, norms, attention and its cache stay float32, as do the embeddings and
the projection of the text. Every row is quantized by its own range, so that in int8 an item does
not depend on those beside it. What each option gains, and by how much it moves logits and codes,
is measured by `recipes/speed`. What changes no value beyond float noise needs no option.

On several threads the last bit of a row may depend on how many rows there are: torch's attention
gives each thread a piece of scratch memory, and sums differently in one that does not begin at a
multiple of 16 bytes. Rounding to bfloat16 or int8 makes a step of its own of that bit where it
falls on an edge. So a logit, and now and then a code, may differ with ``two_step`` or in another
batch; on one thread none did.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, Self, cast

import torch
from torch import Tensor, nn

from audiogen.lm.attention import CrossAttention
from audiogen.lm.fast_layers import Bfloat16Linear, FastCrossAttention, Int8Linear, Make
from audiogen.lm.loss import IGNORED, codebook_cross_entropy
from audiogen.lm.model import TokenLM

Fast = Literal["near", "fast"] | Mapping[str, str]
LINEARS = ("bfloat16", "int8")
PRESETS = {"near": {"linear": "bfloat16"}, "fast": {"linear": "int8"}}


def accelerate(
    lm: TokenLM, *, linear: Literal["bfloat16", "int8"], release: bool = False
) -> "FastLM":
    """Copy a language model, on its device, for faster inference.

    Args:
        lm: what stays exact is shared with it.
        linear: number format of the linear layers; see above.
        release: let every layer of ``lm`` go once it is converted, so that the weights are never
            held twice; ``lm`` is of no use afterwards.

    Raises:
        ValueError: if the option is unknown or not for this device, or the model is a fast one,
            not in float32 on a CPU, or has weights that are not finite.
    """
    if linear not in LINEARS:
        raise ValueError(f"linear must be one of {', '.join(LINEARS)}; got {linear!r}")
    if isinstance(lm, FastLM):
        raise ValueError("this language model is a fast one already: start from the exact one")
    weight = lm.embedding.weight
    on_cpu = weight.device.type == "cpu"
    if on_cpu and weight.dtype != torch.float32:
        raise ValueError(
            f"a fast language model is made from a float32 one, got {weight.dtype}: .float() it, "
            "or load it without dtype"
        )
    if linear == "int8" and not on_cpu:
        raise ValueError(
            f"linear='int8' runs on a CPU, the language model is on {weight.device}: "
            "take 'bfloat16'"
        )
    if linear == "int8" and torch.backends.quantized.engine in (None, "none", "qnnpack"):
        raise ValueError("this build of torch has no int8 products: take linear='bfloat16'")
    return FastLM(lm, linear=linear, release=release)


def accelerated(lm: TokenLM, fast: Fast | None, *, release: bool = False) -> TokenLM:
    """Apply a preset, "near" or "fast", or the keywords of `accelerate`; None changes nothing."""
    if fast is None:
        return lm
    if fast not in PRESETS if isinstance(fast, str) else not isinstance(fast, Mapping):
        raise ValueError(f"fast must be {' or '.join(PRESETS)}, or None; got {fast!r}")
    options = dict(PRESETS[fast] if isinstance(fast, str) else fast)
    if fast == "fast" and lm.embedding.weight.device.type != "cpu":
        options["linear"] = "bfloat16"
    if options.keys() != {"linear"}:
        raise ValueError(f"fast for a language model is linear, not {', '.join(sorted(options))}")
    return accelerate(lm, release=release, **cast(dict[str, Any], options))


class FastLM(TokenLM):
    """What `accelerate` returns: a `TokenLM` that neither trains, nor moves, nor can be saved."""

    own_products = True

    def __init__(self, lm: TokenLM, *, linear: str, release: bool = False) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({k: v for k, v in lm.__dict__.items() if k not in self.__dict__})
        self._num_weights = lm.num_weights
        self._device = lm.embedding.weight.device
        self.register_buffer("offsets", lm.offsets, persistent=False)
        convert = _Conversion(linear=linear, release=release, on_cpu=self._device.type == "cpu")
        self.text_projection = convert.kept(lm.text_projection)
        self.embedding = convert.kept(lm.embedding)
        self.norm = convert.kept(lm.norm)
        self.blocks = nn.ModuleList(convert(block) for block in lm.layers)
        self.head = convert(lm.head)
        self.options = {"linear": linear}
        if release and self._device.type == "cpu":
            for weight in self.parameters():  # else one of them would keep a mapped file in memory
                weight.data = weight.data.clone()
        self.eval()

    @property
    def num_weights(self) -> int:
        """Of the language model this one was made from."""
        return self._num_weights

    @torch.no_grad()
    def forward(
        self,
        sequence: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Do what `TokenLM.forward` does, without gradients."""
        logits = super().forward(sequence, text, text_mask)
        assert isinstance(logits, Tensor)
        if targets is None:
            return logits
        wanted = targets != IGNORED
        losses = codebook_cross_entropy(logits, targets.where(wanted, 0), wanted)
        factors = torch.ones_like(losses) if weights is None else weights
        return (factors * losses).where(factors != 0, 0).mean(), losses

    @torch.no_grad()
    def project_text(self, states: Tensor, mask: Tensor) -> Tensor:
        """Do what `TokenLM.project_text` does, without gradients."""
        return super().project_text(states, mask)

    @torch.no_grad()
    def embed(self, sequence: Tensor, *, start: int = 0) -> Tensor:
        """Do what `TokenLM.embed` does, without gradients."""
        return super().embed(sequence, start=start)

    @torch.no_grad()
    def to_logits(self, x: Tensor) -> Tensor:
        """Do what `TokenLM.to_logits` does, without gradients."""
        return super().to_logits(x)

    def train(self, mode: bool = True) -> Self:
        """Refuse training mode."""
        if mode:
            raise ValueError(
                "a fast language model holds rounded weights and cannot be trained: load it "
                "without fast"
            )
        return super().train(False)

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be saved."""
        raise ValueError(
            "a fast language model holds rounded weights and cannot be saved: save the one it was "
            "made from"
        )

    def load_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse other weights."""
        raise ValueError("a fast language model cannot take weights: load one, then make it fast")

    def reset_parameters(self, *, generator: torch.Generator | None = None) -> NoReturn:
        """Refuse other weights."""
        self.load_state_dict()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Refuse another device or dtype; the present ones are no change."""
        probe = torch.zeros(1, device=self._device)
        moved = fn(probe)
        if moved.device != probe.device or moved.dtype != probe.dtype:
            raise ValueError(
                f"a fast language model stays on {self._device} in its own number formats: "
                "move the exact one first, then make it fast"
            )
        return self


class _Conversion:
    """Layers into fast ones; on a GPU whole modules into bfloat16."""

    def __init__(self, *, linear: str, release: bool, on_cpu: bool) -> None:
        self.make: Make = {"bfloat16": Bfloat16Linear, "int8": Int8Linear}[linear]
        self.release, self.on_cpu = release, on_cpu

    def kept(self, module: nn.Module) -> Any:
        """Share what stays exact on a CPU."""
        return module if self.on_cpu else self(module)

    def __call__(self, module: nn.Module) -> Any:
        if not self.on_cpu:
            own = module if self.release else copy.deepcopy(module)
            return own.to(torch.bfloat16).requires_grad_(False)
        if isinstance(module, nn.Linear):
            return self._linear(module)
        if isinstance(module, CrossAttention):
            out_proj = self._linear(module.out_proj)
            made = FastCrossAttention(module, make=self.make, out_proj=out_proj)
            self._let_go(module.in_proj)
            return made
        shared = copy.copy(module)
        shared._modules = {name: child and self(child) for name, child in module._modules.items()}
        return shared

    def _linear(self, exact: nn.Linear) -> nn.Module:
        made = self.make(exact.weight, exact.bias)
        self._let_go(exact)
        return made

    def _let_go(self, exact: nn.Module) -> None:
        if self.release:
            exact.to("meta")
