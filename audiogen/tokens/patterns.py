"""Interleaving: codes [B, K, T] <-> the sequence [B, K, S] an autoregressive model reads.

A pattern is data: a *layout*, int64 [K, S], that says which frame of codebook ``k`` is held at
step ``s``, or -1 where the codebook has none there. Everything else (building a sequence,
reverting it, aligning the logits) is the same for every layout. Step 0 is always empty: it is
what the model reads before it has predicted anything. Which layouts there are is in
`audiogen.tokens.layouts`.

Source: MusicGen (arXiv:2306.05284), section 2.2 and figure 1.
"""

import torch
from torch import Tensor


def build_sequence(codes: Tensor, layout: Tensor, *, fill: int) -> Tensor:
    """Write codes into the sequence of a layout.

    Args:
        codes: int64 [B, K, T].
        layout: int64 [K, S], the frame at each step or -1.
        fill: the special token written where a step holds no frame.

    Returns:
        int64 [B, K, S].

    >>> codes = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    >>> layout = torch.tensor([[-1, 0, 1, 2, -1], [-1, -1, 0, 1, 2]])
    >>> build_sequence(codes, layout, fill=9).tolist()
    [[[9, 1, 2, 3, 9], [9, 9, 4, 5, 6]]]
    """
    layout = layout.to(codes.device)
    if codes.ndim != 3 or codes.shape[1] != len(layout):
        raise ValueError(
            f"expected codes [B, {len(layout)}, T] for a layout of {len(layout)} codebooks, "
            f"got shape {list(codes.shape)}"
        )
    index = layout.clamp(min=0).expand(len(codes), -1, -1)
    return codes.gather(2, index).where(layout >= 0, fill)


def revert_sequence(sequence: Tensor, layout: Tensor, *, fill: int) -> tuple[Tensor, Tensor]:
    """Read the codes back from a sequence: the inverse of `build_sequence`.

    Args:
        sequence: int64 [B, K, S'], the whole sequence of the layout or its first S' steps.
        layout: int64 [K, S], the frame at each step or -1.
        fill: written where the step that holds a frame is not part of the sequence.

    Returns:
        codes: int64 [B, K, T].
        valid: bool [K, T], false where ``fill`` was written.
    """
    steps, valid = _steps_of_frames(layout, sequence, offset=0)
    return sequence.gather(2, steps.expand(len(sequence), -1, -1)).where(valid, fill), valid


def align_logits(logits: Tensor, layout: Tensor) -> tuple[Tensor, Tensor]:
    """Move the logits of each step to the frame they predict.

    The logits at step ``s`` predict the codes of step ``s + 1``.

    Args:
        logits: float [B, K, S', N], for the first S' steps of the layout.
        layout: int64 [K, S], the frame at each step or -1.

    Returns:
        aligned: float [B, K, T, N]; NaN where the predicting step is not among the S' steps.
        valid: bool [K, T], false where ``aligned`` is NaN.
    """
    steps, valid = _steps_of_frames(layout, logits, offset=-1)
    index = steps[None, :, :, None].expand(len(logits), -1, -1, logits.shape[-1])
    return logits.gather(2, index).where(valid[..., None], torch.nan), valid


def _steps_of_frames(layout: Tensor, values: Tensor, *, offset: int) -> tuple[Tensor, Tensor]:
    """Find where ``values`` [B, K, S', ...] hold each frame, ``offset`` steps from its own.

    Returns int64 [K, T], zero where the frame is out of reach, and bool [K, T], false there.
    """
    if values.ndim < 3 or values.shape[1] != len(layout):
        raise ValueError(
            f"expected values [B, {len(layout)}, S, ...] for a layout of {len(layout)} codebooks, "
            f"got shape {list(values.shape)}"
        )
    held = layout >= 0
    num_frames = int(layout.max()) + 1
    steps = torch.zeros(len(layout), num_frames, dtype=torch.long)
    codebooks, positions = held.cpu().nonzero(as_tuple=True)
    steps[codebooks, layout.cpu()[codebooks, positions]] = positions + offset
    valid = steps < values.shape[2]
    return steps.where(valid, 0).to(values.device), valid.to(values.device)
