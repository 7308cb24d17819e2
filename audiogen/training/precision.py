"""Sixteen bits where they are safe: which modes a codec can be trained in, and where they end."""

from collections.abc import Sequence

import torch
from torch import Tensor

PRECISIONS = ("32-true", "bf16-mixed")
SHORT = {"None": "32-true", "32": "32-true", "bf16": "bf16-mixed"}  # other words of Lightning's


def check_precision(precision: str) -> None:
    """Refuse modes in which codebooks, spectra or losses would not be float32.

    To be asked of the configured word: on a CPU Lightning makes "bf16-mixed" of "16-mixed".

    Raises:
        ValueError: float16 would need a scaler around two optimizers, "bf16-true" and "64-true"
            change the parameters themselves.
    """
    if SHORT.get(precision, precision) not in PRECISIONS:
        raise ValueError(
            f"a codec is trained with trainer.precision={' or '.join(PRECISIONS)}, got {precision}"
        )


def full_precision(like: Tensor) -> torch.autocast:
    """Leave autocast, where there is one, on the device of a tensor."""
    return torch.autocast(like.device.type, enabled=False)


def floats(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return each as float32."""
    return [tensor.float() for tensor in tensors]
