"""Stereo from a mono codec: the codes of two channels <-> the codes a language model is given.

The published configs have the switch ``interleave_stereo_codebooks`` with ``use`` and
``per_timestep``. AudioGen never used it, and nothing public says which channel or codebook comes
first; the order here is ours: left before right, and the same codebook of both side by side.
"""

import torch
from torch import Tensor


def merge_channels(left: Tensor, right: Tensor, *, per_timestep: bool = False) -> Tensor:
    """Interleave the codes of two channels.

    Args:
        left: int64 [B, K, T].
        right: int64 [B, K, T].
        per_timestep: what is interleaved, the codebooks or the frames.

    Returns:
        int64 [B, 2 K, T], of codebooks left 0, right 0, left 1, ...; or, ``per_timestep``,
        int64 [B, K, 2 T], of frames left 0, right 0, left 1, ...

    Raises:
        ValueError: if the channels differ in shape.

    >>> left, right = torch.tensor([[[1, 2], [3, 4]]]), torch.tensor([[[5, 6], [7, 8]]])
    >>> merge_channels(left, right).tolist()
    [[[1, 2], [5, 6], [3, 4], [7, 8]]]
    >>> merge_channels(left, right, per_timestep=True).tolist()
    [[[1, 5, 2, 6], [3, 7, 4, 8]]]
    """
    if left.ndim != 3 or left.shape != right.shape:
        raise ValueError(
            f"expected the codes [B, K, T] of two channels alike, got left {list(left.shape)} and "
            f"right {list(right.shape)}"
        )
    dim = 3 if per_timestep else 2
    return torch.stack([left, right], dim=dim).flatten(dim - 1, dim)


def split_channels(codes: Tensor, *, per_timestep: bool = False) -> tuple[Tensor, Tensor]:
    """Take the channels apart again: the inverse of `merge_channels`.

    Args:
        codes: int64 [B, 2 K, T], or [B, K, 2 T] if ``per_timestep``.
        per_timestep: as they were merged.

    Returns:
        left: int64 [B, K, T].
        right: int64 [B, K, T].

    Raises:
        ValueError: if there is not an even number of codebooks, or of frames.
    """
    dim, what = (2, "frames") if per_timestep else (1, "codebooks")
    if codes.ndim != 3 or codes.shape[dim] % 2:
        raise ValueError(
            f"expected codes [B, K, T] of two channels, with an even number of {what}, "
            f"got shape {list(codes.shape)}"
        )
    left, right = codes.unflatten(dim, (-1, 2)).unbind(dim + 1)
    return left, right
