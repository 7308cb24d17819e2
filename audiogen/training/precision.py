"""Sixteen bits where they are safe: which modes models can be trained in, and where they end."""

from collections.abc import Sequence

import torch
from torch import Tensor

PRECISIONS = ("32-true", "bf16-mixed")
LM_PRECISIONS = (*PRECISIONS, "16-mixed")
# Other words of Lightning's.
SHORT = {"None": "32-true", "32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


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


def check_lm_precision(configured: str, applied: str) -> None:
    """Refuse modes in which weights, norms or losses of a language model would not be float32.

    Args:
        configured: the word of the configuration.
        applied: what the trainer made of it: on a CPU, Lightning takes bfloat16 for float16.

    Raises:
        ValueError: naming what there is.
    """
    wanted = SHORT.get(configured, configured)
    if wanted not in LM_PRECISIONS:
        raise ValueError(
            "a language model is trained with trainer.precision="
            f"{', '.join(PRECISIONS)} or 16-mixed, got {configured}"
        )
    if wanted == "16-mixed" and SHORT.get(applied, applied) != wanted:
        raise ValueError(
            f"trainer.precision={configured} needs a GPU, here it would silently be {applied}: set "
            "trainer.precision=bf16-mixed, or 32-true"
        )


def full_precision(like: Tensor) -> torch.autocast:
    """Leave autocast, where there is one, on the device of a tensor."""
    return torch.autocast(like.device.type, enabled=False)


def floats(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return each as float32."""
    return [tensor.float() for tensor in tensors]
