"""Decode frames while they are being generated."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from audiogen.codec.streaming import StreamingDecoder


@torch.no_grad()
def decode_pieces(
    decoder: StreamingDecoder, frames: Iterable[Tensor], *, size: int
) -> Iterator[Tensor]:
    """Decode frames int64 [B, K] as they come, ``size`` together.

    Yields:
        float32 [B, C, t], t at least 1, on the codec's device.
    """
    for codes, last in _pieces(frames, size):
        piece = decoder.push(codes)
        if last:
            piece = torch.cat([piece, decoder.finish()], dim=-1)
        if piece.shape[-1]:
            yield piece


def _pieces(frames: Iterable[Tensor], size: int) -> Iterator[tuple[Tensor, bool]]:
    """Gather frames [B, K] into codes [B, K, size]; the last piece, maybe shorter, comes marked."""
    gathered: list[Tensor] = []
    for frame in frames:
        if len(gathered) == size:
            yield torch.stack(gathered, dim=-1), False
            gathered = []
        gathered.append(frame)
    yield torch.stack(gathered, dim=-1), True
