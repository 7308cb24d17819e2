"""Low-rank adapters (LoRA, arXiv:2106.09685) on the blocks of a language model, by peft.

Where a block has a matrix W, an adapter adds ``alpha / rank * B @ A`` to it: B begins as zero, so
training begins with the model as it was. Only A and B learn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogen.files import replacing
from audiogen.lm.model import TokenLM
from audiogen.model_folder.build import build_on_meta
from audiogen.model_folder.write import write_tensors

MARK = ".lora_"  # in the names of the matrices that learn
BASE = ".base_layer."  # in those of the weights they are added to
WEIGHTS = "adapter_model.safetensors"  # peft's name
ADAPTER = "default"  # peft's name of the only one


@dataclass(frozen=True, kw_only=True)
class Lora:
    """What adapters there are.

    Args:
        rank: rows of A and columns of B.
        alpha: B @ A counts alpha / rank times.
        targets: ends of the names of the layers: "in_proj", "self_attention.out_proj", "mlp_in".
        dropout: share of what an adapter reads that is dropped in training.
    """

    rank: int
    alpha: float
    targets: Sequence[str]
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(
                f"lora.rank must be a whole number from 1, got {self.rank!r}: set 4 to 64, or "
                "module.lora=null to train all weights"
            )
        if not 0 < self.alpha < float("inf"):
            raise ValueError(
                f"lora.alpha must be above 0, got {self.alpha}: take the rank or twice"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout must be in [0, 1), got {self.dropout}")
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(
                f"lora.targets must be a list of names of layers, got {self.targets!r}: set "
                "[in_proj,out_proj,mlp_in,mlp_out]"
            )


def add_adapters(lm: TokenLM, lora: Lora) -> None:
    """Put adapters beside the layers of ``lora.targets``, in place; all else stops learning.

    Raises:
        ValueError: if peft is missing, or a target is no layer of the blocks.
    """
    _check_targets(lm, lora.targets)
    peft = _peft()
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        lora_dropout=lora.dropout,
    )
    lm.requires_grad_(False)
    peft.inject_adapter_in_model(config, lm, adapter_name=ADAPTER)


def has_adapters(lm: nn.Module) -> bool:
    """Say whether `add_adapters` was here."""
    return any(MARK in name for name, _ in lm.named_parameters())


@torch.no_grad()
def merged(lm: TokenLM) -> TokenLM:
    """Return an ordinary language model that computes the same: a copy, or ``lm`` without adapters.

    The sum is rounded once, in the weights' own dtype.
    """
    if not has_adapters(lm):
        return lm
    weights = dict(_merged_state(lm))
    plain = build_on_meta(TokenLM, lm.config, Path(), said_in="the language model")
    plain.load_state_dict(weights, assign=True)
    return plain.to(lm.head.weight.device).eval().requires_grad_(False)


def save_adapters(lm: TokenLM, folder: Path) -> None:
    """Write the adapters as `peft.PeftModel.save_pretrained` does, a few megabytes.

    Raises:
        ValueError: if there are none.
    """
    if not has_adapters(lm):
        raise ValueError("the language model has no adapters: there is nothing to save")
    folder.mkdir(parents=True, exist_ok=True)
    peft = _peft()
    state = peft.get_peft_model_state_dict(lm, adapter_name=ADAPTER)
    prefixed = {f"base_model.model.{k}": v.detach().cpu().contiguous() for k, v in state.items()}
    with replacing(folder / WEIGHTS) as path:
        write_tensors(prefixed, path, {"format": "pt"})
    config: Any = lm.peft_config
    config[ADAPTER].save_pretrained(str(folder))


def load_adapters(lm: TokenLM, folder: Path) -> None:
    """Put the adapters of a folder of peft's beside the layers of a language model, in place.

    Raises:
        FileNotFoundError: if the folder has no adapters.
        ValueError: if they are of another model, or peft is missing.
    """
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file() or not (folder / "adapter_config.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no adapters: give the folder with adapter_config.json and {WEIGHTS}"
        )
    peft = _peft()
    config = peft.LoraConfig.from_pretrained(str(folder))
    lora = Lora(
        rank=config.r,
        alpha=config.lora_alpha,
        targets=sorted(config.target_modules),
        dropout=config.lora_dropout,
    )
    state = {k.removeprefix("base_model.model."): v for k, v in load_file(path).items()}
    add_adapters(lm, lora)
    own = {name.replace(f".{ADAPTER}.", "."): p for name, p in adapters(lm)}
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if shapes != {name: tuple(value.shape) for name, value in own.items()}:
        raise ValueError(f"{folder}: its adapters are of another model, or of other layers of it")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def adapters(lm: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the matrices that learn, with their names."""
    return ((name, p) for name, p in lm.named_parameters() if MARK in name)


def _merged_state(lm: TokenLM) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of the ordinary model by its names, in memory of their own."""
    adapted = {n: m for n, m in lm.named_modules() if hasattr(m, "get_delta_weight")}
    for name, value in lm.state_dict().items():
        if MARK not in name:
            plain = name.replace(BASE, ".")
            layer: Any = adapted.get(plain.removesuffix(".weight"))
            if layer is None:
                yield plain, value.clone()
            else:  # one at a time: all of them would be as large as the model
                yield plain, (value + layer.get_delta_weight(ADAPTER)).to(value.dtype)


def _check_targets(lm: TokenLM, targets: Sequence[str]) -> None:
    """Refuse names of no layer, and layers whose weights are read past an adapter."""
    linear = [name for name, layer in lm.named_modules() if isinstance(layer, nn.Linear)]
    inside = sorted({name.rpartition(".")[2] for name in linear if name.startswith("blocks.")})
    for target in targets:
        hit = [name for name in linear if name == target or name.endswith(f".{target}")]
        if not hit or not all(name.startswith("blocks.") for name in hit):
            why = "is no layer of" if not hit else "is not inside the blocks of"
            raise ValueError(
                f"lora.targets: {target!r} {why} the language model; there are {', '.join(inside)}"
            )


def _peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ValueError(
            f"low-rank adapters need {error.name}, which is not installed: "
            "pip install 'audiogen[train]', or train all weights with module.lora=null"
        ) from error
    return peft
