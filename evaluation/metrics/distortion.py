"""Scale-invariant distortion of a waveform against the one it was made from, in dB.

Only math on tensors; `si_sdr` holds the torchmetrics classes, which take longer to load.
"""

import math

import torch
from torch import Tensor

ROUNDING = 1e-28  # of an energy: what float64 sums leave where the exact result is zero
CONSTANT = 1e-24  # of an energy: what is left of a constant waveform without its mean
FLOAT32_EPS = 2.0**-23


def si_sdr(reference: Tensor, generated: Tensor, *, zero_mean: bool = True) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of each item, in dB; higher is better.

    The generated sound is split into the part along the reference and the rest; the value is the
    ratio of their energies over the whole length. Gain and polarity do not change it, a shift by
    one sample does.

    Args:
        reference: float [B, T] or [B, C, T]; computed in float64 whatever it comes in.
        generated: float, of the same shape.
        zero_mean: take the mean out of every channel first, so that an offset is no distortion.

    Returns:
        float64 [B]; the channels of an item are one long vector with one gain. +inf where nothing
        but the reference is there, -inf where nothing of it is there (a silent sound too: it
        reproduces nothing), NaN where the reference is silent and the ratio does not exist.

    Raises:
        ValueError: if the shapes differ, there are no samples, or one is NaN or infinite.

    Source: Le Roux et al. 2019, "SDR - half-baked or well done?" (arXiv:1811.02508), equation 3.

    >>> reference = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    >>> noise = torch.tensor([[0.1, -0.1, 0.1, -0.1]])
    >>> round(float(si_sdr(reference, reference + noise)), 4)
    20.0
    """
    reference, generated = check_waveforms(reference, generated)
    if zero_mean:
        reference, generated = _center(reference), _center(generated)
    reference, generated = reference.flatten(1), generated.flatten(1)
    dot = (reference * generated).sum(dim=-1)
    energy = reference.square().sum(dim=-1)
    silent = energy == 0
    scale = dot / torch.where(silent, 1.0, energy)
    target = scale.square() * energy
    rest = (generated - scale[..., None] * reference).square().sum(dim=-1)
    ratio = 10 * (target.log10() - rest.log10())
    ratio = torch.where(rest <= ROUNDING * target, torch.inf, ratio)
    ratio = torch.where(target <= ROUNDING * rest, -torch.inf, ratio)
    return torch.where(silent, torch.nan, ratio)


def si_snr_segments(
    reference: Tensor,
    generated: Tensor,
    *,
    sample_rate: int,
    segment: float = 5.0,
    overlap: float = 0.5,
) -> Tensor:
    """Scale-invariant signal-to-noise ratio of overlapping segments, in dB; higher is better.

    AudioCraft's variant: the last segments are filled up with zeros, every segment loses its mean,
    and an epsilon of float32's precision times the segment length keeps silence finite. It also
    bounds what a quiet segment can reach, so gain does change the value.

    Args:
        reference: float [B, T] or [B, C, T]; computed in float64.
        generated: float, of the same shape.
        sample_rate: Hz.
        segment: seconds.
        overlap: share of a segment that the next one covers as well, in [0, 1).

    Returns:
        float64 [B, F], the mean over channels; F = ceil(T / stride).

    Raises:
        ValueError: if the shapes differ, there are no samples, one is NaN or infinite, or a
            segment is no sample long.
    """
    reference, generated = check_waveforms(reference, generated)
    length = int(segment * sample_rate)
    stride = int(length * (1 - overlap)) if 0 <= overlap < 1 else 0
    if stride < 1:
        raise ValueError(
            "expected a segment of one or more samples and an overlap in [0, 1), got "
            f"{segment} s at {sample_rate} Hz and {overlap}"
        )
    ref, gen = (_cut(waveform, length, stride) for waveform in (reference, generated))
    epsilon = FLOAT32_EPS * length
    scale = (ref * gen).sum(dim=-1) / (epsilon + ref.square().sum(dim=-1))
    target = scale[..., None] * ref
    rest = gen - target
    levels = [(epsilon + part.square().sum(dim=-1)).log10() for part in (target, rest)]
    return 10 * (levels[0] - levels[1]).mean(dim=1)


def si_snr_audiocraft(
    reference: Tensor,
    generated: Tensor,
    *,
    sample_rate: int,
    segment: float = 5.0,
    overlap: float = 0.5,
    segments: str = "all",
) -> Tensor:
    """What AudioCraft logs as `sisnr`: the negative of the mean of `si_snr_segments`, in dB.

    Args:
        reference: float [B, T] or [B, C, T].
        generated: float, of the same shape.
        sample_rate: Hz.
        segment: seconds; 5 in its evaluation.
        overlap: share of a segment that the next one covers as well.
        segments: "all", which gives the values its loss returns; or "first", the first segment of
            every item alone.

    Returns:
        float64 scalar; lower is better.

    Raises:
        ValueError: as `si_snr_segments`, and for another name in ``segments``.
    """
    if segments not in ("all", "first"):
        raise ValueError(f"segments must be all or first, got {segments!r}")
    values = si_snr_segments(
        reference, generated, sample_rate=sample_rate, segment=segment, overlap=overlap
    )
    return -(values if segments == "all" else values[:, 0]).mean()


def check_waveforms(reference: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """Return two waveforms as float64 [B, C, T].

    Raises:
        ValueError: if the shapes differ, there are no samples, or one is NaN or infinite.
    """
    if reference.shape != generated.shape or reference.ndim not in (2, 3):
        raise ValueError(
            "expected two waveforms [B, T] or [B, C, T] of one shape, got "
            f"{list(reference.shape)} and {list(generated.shape)}: cut the longer one, and add a "
            "batch dimension to single ones"
        )
    if reference.numel() == 0:
        raise ValueError(f"expected one or more samples, got waveforms {list(reference.shape)}")
    for name, waveform in (("reference", reference), ("generated", generated)):
        if not waveform.isfinite().all():
            raise ValueError(f"{name} holds samples that are NaN or infinite: check the sounds")
    if reference.ndim == 2:
        reference, generated = reference[:, None], generated[:, None]
    return reference.double(), generated.double()


def _center(waveform: Tensor) -> Tensor:
    """Take the mean out of every channel of [B, C, T]; of a constant one nothing is left."""
    centered = waveform - waveform.mean(dim=-1, keepdim=True)
    left, whole = (x.square().sum(dim=-1, keepdim=True) for x in (centered, waveform))
    return torch.where(left <= CONSTANT * whole, 0.0, centered)


def _cut(waveform: Tensor, length: int, stride: int) -> Tensor:
    """Cut [B, C, T] into overlapping segments without their mean, [B, C, F, length]."""
    samples = waveform.shape[-1]
    count = math.ceil(samples / stride)
    missing = (count - 1) * stride + length - samples
    segments = torch.nn.functional.pad(waveform, (0, missing)).unfold(-1, length, stride)
    return segments - segments.mean(dim=-1, keepdim=True)
