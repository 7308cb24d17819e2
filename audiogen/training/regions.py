"""Which parts of a training step torch.compile translates, and which are computed twice."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM

MODES = ("none", "regions")


def compile_regions(codec: Codec, adversarial: nn.Module | None, *, mode: str) -> None:
    """Compile encoder, decoder and discriminator in place; names in state dicts stay.

    The quantizer stays as it is: it draws from a generator and talks to other processes, and has
    no arithmetic worth fusing. The first update of a run takes a minute or more.

    Raises:
        ValueError: if the mode is neither "none" nor "regions".
    """
    if not _wanted(mode):
        return
    regions: list[nn.Module] = [codec.encoder, codec.decoder]
    if adversarial is not None:
        regions.append(adversarial.get_submodule("discriminator"))
    for region in regions:
        region.compile(dynamic=False)


def compile_blocks(lm: TokenLM, *, mode: str) -> None:
    """Compile every block in place, once for all as they are alike; names in state dicts stay.

    The second length of text that is met is compiled for all lengths.

    Raises:
        ValueError: if the mode is neither "none" nor "regions".
    """
    if _wanted(mode):
        for block in lm.layers:
            block.compile()


def recompute_blocks(lm: TokenLM) -> None:
    """Keep of every block's forward pass its input alone, and compute the rest again for gradients.

    To be done before blocks are compiled or sharded, which then includes the second computation.
    """
    for block in lm.layers:
        block.forward = partial(_computed_twice, block.forward)  # type: ignore[method-assign]


def _computed_twice(
    forward: Callable[..., Tensor], x: Tensor, memory: Any, mask: Any, cache: Any = None
) -> Tensor:
    if cache is None and torch.is_grad_enabled():
        return checkpoint(forward, x, memory, mask, use_reentrant=False)
    return forward(x, memory, mask, cache)


def _wanted(mode: str) -> bool:
    if mode not in MODES:
        raise ValueError(f"compile must be 'none' or 'regions', got {mode!r}")
    return mode == "regions"
