"""What turns a sound into vectors: one embedder per file, imported when its metric is asked for."""

from typing import Protocol

from torch import Tensor


class Embedder(Protocol):
    """A fixed map from sound to vectors, with what identifies it in a report."""

    name: str
    version: str  # changes whenever the same sound could give other vectors
    sample_rate: int  # Hz, of the sound it takes
    dim: int

    def __call__(self, waveform: Tensor) -> Tensor:
        """Map float [T], mono at `sample_rate`, to float [n, dim], one row per window, n >= 1."""
        ...
