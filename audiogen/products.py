"""Who multiplies float32 matrices on a CPU: torch's own choice, or oneDNN."""

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

TORCHS = F.linear
PRODUCTS = ("default", "onednn")
SMALLEST = 1 << 22  # multiplications; below it the call costs more than is won
SMALLEST_STEP = 1 << 19  # the same without gradients, which cost a call of their own
PLAIN = (Tensor, nn.Parameter)  # no subclass: those have their own ways to be multiplied
PROCESSORS = Path("/proc/cpuinfo")


@contextmanager
def products(kind: str) -> Iterator[None]:
    """Choose who computes `torch.nn.functional.linear` inside a with statement.

    "onednn" gives the linear layers of float32 models on a CPU to oneDNN, forward and backward.
    The sums are as exact as the others, in another order. torch's own choice for float32 is MKL,
    which on processors of AMD reaches less than half of oneDNN's rate; elsewhere they are alike.
    Everything else (other types, autocast, GPUs, small products, compiled code) is as before.

    Raises:
        ValueError: if the kind is unknown, or this build of torch has no oneDNN.
    """
    if kind not in PRODUCTS:
        raise ValueError(f"products must be one of {PRODUCTS}, got {kind!r}")
    there = torch.backends.mkldnn.is_available()
    if kind == "onednn" and not (there and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        raise ValueError("this build of torch has no oneDNN: choose products=default")
    # In its place in torch, where modules look it up at every call. A TorchFunctionMode would be
    # gone inside of backward(), where checkpointed blocks are computed again.
    before = F.linear
    F.linear = linear if kind == "onednn" else TORCHS  # type: ignore[assignment]
    try:
        yield
    finally:
        F.linear = before


def step_products(width: int) -> AbstractContextManager[object]:
    """Choose who computes the linear layers of one step of inference inside a with statement.

    Without gradients, in this thread only, and nothing to choose: float32 products of a few rows
    on a processor of AMD go to oneDNN, which takes a third of MKL's time for two rows and reads
    the same weights. Elsewhere, and for layers too small to gain, nothing changes.

    Args:
        width: of the layers; what is narrower than a few hundred gains nothing.
    """
    if width * width < SMALLEST_STEP // 2 or not onednn_is_quicker():
        return nullcontext()
    return _StepProducts()


@cache
def onednn_is_quicker() -> bool:
    """Whether oneDNN multiplies float32 matrices in less time than torch's own choice, MKL.

    Asked of the processor and not of a clock, so that a machine always computes the same.
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    known = PROCESSORS.read_text(encoding="utf-8") if PROCESSORS.is_file() else ""
    return "AuthenticAMD" in known + platform.processor()


class _StepProducts(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is TORCHS and not torch.is_grad_enabled():
            return _step(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _step(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if _suits(x, weight, bias, smallest=SMALLEST_STEP):
        return _multiply(x, weight, bias)
    return TORCHS(x, weight, bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute x @ weight.T + bias, by oneDNN where it can and where that takes less time."""
    if _suits(x, weight, bias, smallest=SMALLEST):
        return OneDNNLinear.apply(x, weight, bias)
    return TORCHS(x, weight, bias)


class OneDNNLinear(torch.autograd.Function):
    """x @ weight.T + bias and its gradients, float32 on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map [..., D] by [E, D] and [E] to [..., E]."""
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients that are needed."""
        x, weight = ctx.saved_tensors
        slope = upstream.contiguous()
        rows = slope.flatten(0, -2)
        x_needed, weight_needed, _ = ctx.needs_input_grad
        return (
            _multiply(slope, weight.t()) if x_needed else None,
            _multiply(rows.t(), x.contiguous().flatten(0, -2).t()) if weight_needed else None,
            rows.sum(dim=0) if ctx.biased else None,
        )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _suits(x: Tensor, weight: Tensor, bias: Tensor | None, *, smallest: int) -> bool:
    """Say whether oneDNN can compute it, and in less time."""
    tensors = (x, weight) if bias is None else (x, weight, bias)
    return (
        not torch.compiler.is_compiling()
        and all(type(t) in PLAIN and t.dtype == torch.float32 for t in tensors)
        and all(t.device.type == "cpu" for t in tensors)
        and not torch.is_autocast_enabled("cpu")
        and x.ndim >= 2
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and x.numel() * len(weight) >= smallest
        and (x.is_contiguous() or x.mT.is_contiguous())
        and (weight.is_contiguous() or weight.mT.is_contiguous())
    )
