"""Build a part whose weights are about to be replaced, without drawing them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from audiogen.model_folder.layout import CheckpointError

Part = TypeVar("Part")

# An initializer arrives here before the method it calls, and the method then no more.
DRAWS = (
    *(Tensor.uniform_, Tensor.normal_, Tensor.erfinv_),
    *(init.uniform_, init.normal_),
    *(init.kaiming_uniform_, init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_),
)
SCALED = (Tensor.mul_, Tensor.add_, Tensor.clamp_)


def build_part(
    build: Callable[..., Part], keywords: Mapping[str, Any], source: Path, *, said_in: str
) -> Part:
    """Construct a part; its weights are whatever the memory held.

    Args:
        build: the constructor.
        keywords: its arguments, as a file has them.
        source: that file's place.
        said_in: what in it holds the arguments, for example "config.json".

    Raises:
        CheckpointError: if this version cannot build it.
    """
    return _built(build, keywords, source, said_in, NoInit())


def build_on_meta(
    build: Callable[..., Part], keywords: Mapping[str, Any], source: Path, *, said_in: str
) -> Part:
    """Do what `build_part` does, but take no memory for the weights.

    They are on the device "meta": only their shapes are there. Load others by ``assign=True``.
    Tables that the part computes for itself are real.
    """
    return _built(build, keywords, source, said_in, OnMeta())


def _built(
    build: Callable[..., Part],
    keywords: Mapping[str, Any],
    source: Path,
    said_in: str,
    mode: TorchFunctionMode,
) -> Part:
    try:
        with torch.random.fork_rng(devices=[]), mode:
            return build(**keywords)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise CheckpointError(
            f"{source}: {said_in} describes a part that cannot be built here: {error}"
        ) from error


class NoInit(TorchFunctionMode):
    """Makes the slow in-place draws of initializers do nothing (a minute for 2 billion weights)."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.call(func, args, kwargs or {})

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Skip a draw."""
        if func in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class OnMeta(NoInit):
    """Also makes what `torch.empty` returns, as layers of torch allocate weights, hold nothing."""

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Redirect `torch.empty`, and skip a draw and what it does behind it."""
        if func is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        elif func in SCALED and args[0].is_meta:  # torch takes seconds to work out their shapes
            return args[0]
        return super().call(func, args, kwargs)
