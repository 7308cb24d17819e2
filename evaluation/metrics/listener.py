"""What models of a listener have in common: the pairs they can rate."""

from typing import Protocol

import torch
from torch import Tensor


class UnratedError(ValueError):
    """A pair that a model of a listener cannot rate: why."""


class Listener(Protocol):
    """A model of a listener, with what identifies it in a report."""

    name: str
    version: str
    sample_rate: int  # Hz, of the sounds it takes

    def __call__(self, reference: Tensor, generated: Tensor) -> float:
        """Rate float [T] against float [T], both at `sample_rate`; or raise `UnratedError`."""
        ...


def check_rateable(reference: Tensor, generated: Tensor) -> None:
    """Check what every model of a listener takes for granted.

    Raises:
        ValueError: if these are no two waveforms [T], or a sample is NaN or infinite.
        UnratedError: if one is digital silence. The models' own answers to it are no ratings:
            NaN, a crash, or the best mark there is.
    """
    if reference.ndim != 1 or generated.ndim != 1:
        raise ValueError(
            f"expected two mono waveforms [T], got {list(reference.shape)} and "
            f"{list(generated.shape)}"
        )
    for name, waveform in (("reference", reference), ("generated", generated)):
        if not torch.isfinite(waveform).all():
            raise ValueError(f"{name} holds samples that are NaN or infinite: check the sounds")
        if not waveform.any():
            raise UnratedError(f"the {name} sound is silent")
