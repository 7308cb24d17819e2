"""Weights in half the bytes, without a difference: float16 of values that float16 has."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Give every weight and buffer of a module the nearest value that float16 has.

    Raises:
        ValueError: if one is beyond float16, whose largest number is 65504.
    """
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point():
            rounded = value.half()
            if not torch.isfinite(rounded).all():
                raise ValueError(f"{name} reaches {value.abs().max():.4g}, beyond float16")
            value.copy_(rounded)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return floating tensors as the float16 of the same values, others as they are.

    Raises:
        ValueError: if a value would change.
    """
    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    for name, value in half.items():
        if not torch.equal(value.to(tensors[name].dtype), tensors[name]):
            raise ValueError(
                f"{name} would change in float16: round the weights first, so that what is stored "
                "is what was measured, or store float32"
            )
    return half
