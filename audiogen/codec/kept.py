"""Weights that are computed from others, kept for as long as those stay what they were.

Weight norm makes a convolution's weight from a direction and a length at every call. In
evaluation nothing changes between two calls, so the result is kept beside the module: not in its
state dict, not in its copies, and never older than what it was made from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SMALLEST = 1 << 13  # values of a weight that is worth keeping
SAMPLES = 64  # values of each source that are compared, beside its version


def sources(module: nn.Module) -> list[Tensor]:
    """Return the tensors that ``module.weight`` is made from; the weight itself where it is one."""
    # Not by the methods of modules: this is asked for every convolution of every short piece.
    weight = module._parameters.get("weight")
    if weight is not None:
        return [weight]
    made = module.get_submodule("parametrizations")._modules["weight"]
    assert made is not None
    parts = [made, *made._modules.values()]
    held = [{**part._parameters, **part._buffers} for part in parts if part is not None]
    return [tensor for tensors in held for tensor in tensors.values() if tensor is not None]


def may_keep(module: nn.Module) -> bool:
    """Whether keeping pays and is safe: on the CPU, in eval mode, without gradients.

    On a GPU the weight costs one small kernel, and a look at its values would wait for the device;
    a small weight is made sooner than it is known to be the same.
    """
    if module.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    tensors = sources(module)
    if max(x.numel() for x in tensors) < SMALLEST:
        return False
    return all(x.device.type == "cpu" and not x.is_inference() for x in tensors)


class Kept:
    """One tensor made from others, made again when one of them changes.

    Changes are seen by the version that torch counts at every in-place operation, by the place in
    memory, and, for writes through ``.data`` that torch does not count, by a sample of the values.
    """

    def __init__(self) -> None:
        # One attribute, read once per call: other threads may use and forget it meanwhile.
        self._held: tuple[Tensor, list[_Trace]] | None = None

    def get(self, made_from: Sequence[Tensor], make: Callable[[], Tensor]) -> Tensor:
        """Return what ``make`` returned when ``made_from`` was as it is now."""
        held = self._held
        if held is None or not _shows(held[1], made_from):
            traces = [_Trace.of(tensor) for tensor in made_from]
            held = self._held = (make().detach(), traces)
        return held[0]

    def forget(self) -> None:
        """Free the memory."""
        self._held = None

    def __getstate__(self) -> dict[str, object]:
        """Copies and pickles begin empty."""
        return {"_held": None}


@dataclass(frozen=True, slots=True)
class _Trace:
    place: int
    version: int
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "_Trace":
        return cls(tensor.data_ptr(), tensor._version, _sample(tensor).clone())

    def shows(self, tensor: Tensor) -> bool:
        if tensor.data_ptr() != self.place or tensor._version != self.version:
            return False
        values = _sample(tensor)
        return values.dtype == self.values.dtype and torch.equal(values, self.values)


def _shows(traces: Sequence[_Trace], tensors: Sequence[Tensor]) -> bool:
    if len(traces) != len(tensors):
        return False
    return all(trace.shows(tensor) for trace, tensor in zip(traces, tensors, strict=True))


def _sample(tensor: Tensor) -> Tensor:
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
    step = max(1, tensor.numel() // SAMPLES)
    return tensor.detach().as_strided((tensor.numel() // step,), (step,))
