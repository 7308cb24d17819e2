"""What is watched while a codec trains: the use of its codes, and scores of its round trips."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from audiogen.codec.health import code_statistics, count_codes, drift
from audiogen.codec.model import Codec

Score = Callable[[Tensor, Tensor], Tensor]  # reference, generated [B, C, T] -> [B] or [B, F]

BOUND = 100.0  # dB; an item that is perfect, or lost altogether, must not decide a mean alone


def scores(
    metrics: Mapping[str, Score], reference: Tensor, generated: Tensor
) -> dict[str, tuple[Tensor, int]]:
    """Measure pairs float [B, C, T]: the mean of the values that exist, and their number.

    SI-SDR of a silent reference does not exist, and is infinite for a sound that is perfect or
    has nothing of its reference: those count as plus and minus `BOUND`.
    """
    means = {}
    for name, metric in metrics.items():
        values = metric(reference, generated).clamp(-BOUND, BOUND)
        values = values[~values.isnan()]
        if len(values):
            means[name] = (values.mean(), len(values))
    return means


class CodebookWatch:
    """Counts codes of a validation, and measures how far entries moved between two rows."""

    def __init__(self) -> None:
        self.counts = torch.zeros(0)
        self._entries: Tensor | None = None  # [K, N, D] at the last row

    def begin(self, codec: Codec) -> None:
        """Count anew."""
        device = codec.quantizer.restarts.device
        self.counts = torch.zeros(codec.num_codebooks, codec.codebook_size, device=device)

    def count(self, codes: Tensor, codebook_size: int) -> None:
        """Add codes int64 [B, K, T]."""
        self.counts += count_codes(codes, codebook_size)

    @staticmethod
    def statistics(counts: Tensor) -> dict[str, float]:
        """Name usage, perplexity, entropy and efficiency of the codes counted, [K, N]."""
        return _by_codebook(code_statistics(counts))

    def health(self, codec: Codec) -> dict[str, float]:
        """Return ``codebooks/<name>_<k>``: usage, restarts, and the drift since the last call."""
        values = codec.quantizer.usage()
        entries = torch.stack([book.embed.detach() for book in codec.quantizer.codebooks])
        if self._entries is not None:
            values["drift"] = drift(self._entries.to(entries.device), entries)
        self._entries = entries
        return {f"codebooks/{name}": value for name, value in _by_codebook(values).items()}

    def state(self) -> dict[str, Any]:
        """Return the entries of the last row."""
        return {"entries": self._entries}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from `state`."""
        self._entries = None if state is None else state["entries"]


def _by_codebook(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Name each of the values [K] after its codebook."""
    return {
        f"{name}_{k}": value
        for name, per_codebook in values.items()
        for k, value in enumerate(per_codebook.tolist())
    }
