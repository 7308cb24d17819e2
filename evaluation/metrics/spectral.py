"""Distances between the spectra of a waveform and of the one it was made from.

Only math on tensors; `mel_distance` and `log_spectral` hold the torchmetrics classes, which take
longer to load. Every value is the mean over the channels and frames of an item, in float64.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from evaluation.metrics.distortion import check_waveforms

MEL_FLOOR = 1e-5  # added to the power of a band before the logarithm, as AudioCraft does
N_FFTS = (64, 128, 256, 512, 1024)


def mel_distance(
    reference: Tensor,
    generated: Tensor,
    *,
    sample_rate: int,
    n_fft: int = 1024,
    hop: int = 256,
    num_mels: int = 64,
    f_min: float = 64.0,
) -> Tensor:
    """Mean absolute difference of log10 mel powers of each item; lower is better, 0 is equal.

    Args:
        reference: float [B, T] or [B, C, T], full scale 1.
        generated: float, of the same shape.
        sample_rate: Hz; the bands reach from ``f_min`` to half of it.
        n_fft: samples of a frame and of its Hann window.
        hop: samples between frames.
        num_mels: bands, triangles of height one on the HTK mel scale.
        f_min: Hz.

    Returns:
        float64 [B].

    Raises:
        ValueError: if the shapes differ, there are no samples, one is NaN or infinite, or the
            options describe no mel spectrogram.

    Source: AudioCraft's `mel` distance, whose options are the defaults.
    """
    mels = _mel_pair(
        reference,
        generated,
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop=hop,
        num_mels=num_mels,
        f_min=f_min,
    )
    logs = [(MEL_FLOOR + mel).log10() for mel in mels]
    return (logs[0] - logs[1]).abs().mean(dim=(1, 2, 3))


def multi_scale_mel(
    reference: Tensor,
    generated: Tensor,
    *,
    sample_rate: int,
    n_ffts: Sequence[int] = N_FFTS,
    num_mels: int = 64,
    f_min: float = 64.0,
) -> Tensor:
    """Distance of mel spectrograms at several resolutions; lower is better, 0 is equal.

    Per resolution the mean absolute difference of the mel powers plus the mean squared difference
    of their log10, and the mean of these 2 * len(n_ffts) numbers. Frames advance by a quarter of
    their length, and spectra are divided by the norm of the window.

    Args:
        reference: float [B, T] or [B, C, T], full scale 1.
        generated: float, of the same shape.
        sample_rate: Hz.
        n_ffts: frame lengths in samples.
        num_mels: bands of every resolution; those of short frames are partly empty, a constant.
        f_min: Hz.

    Returns:
        float64 [B].

    Raises:
        ValueError: as `mel_distance`, and without any resolution.

    Source: AudioCraft's `msspec` distance of its codec for sound effects; the defaults are its.
    """
    if len(n_ffts) == 0:
        raise ValueError("n_ffts must name one or more frame lengths, got none")
    total = torch.zeros(len(reference), dtype=torch.float64, device=reference.device)
    for n_fft in n_ffts:
        ref, gen = _mel_pair(
            reference,
            generated,
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop=n_fft // 4,
            num_mels=num_mels,
            f_min=f_min,
            normalized=True,
        )
        logs = (MEL_FLOOR + ref).log10() - (MEL_FLOOR + gen).log10()
        total = total + (ref - gen).abs().mean(dim=(1, 2, 3)) + logs.square().mean(dim=(1, 2, 3))
    return total / (2 * len(n_ffts))


def log_spectral_distance(
    reference: Tensor,
    generated: Tensor,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    floor: float = -100.0,
) -> Tensor:
    """Root mean square over frequency of the level difference, mean over frames, in dB.

    Each frame's spectrum is scaled so that a full-scale sine on a bin reads 0 dB there, and levels
    below the floor count as the floor: what is inaudible on both sides is no difference. The size
    of the number depends on the floor and on the frame, so compare only equal ones.

    Args:
        reference: float [B, T] or [B, C, T], full scale 1.
        generated: float, of the same shape.
        n_fft: samples of a frame and of its Hann window.
        hop: samples between frames.
        floor: dB.

    Returns:
        float64 [B]; lower is better. A gain of g alone gives 20 * log10(g) where no bin is near
        the floor.

    Raises:
        ValueError: if the shapes differ, there are no samples, one is NaN or infinite, or the
            options describe no spectrogram.

    Source: Gray and Markel 1976, "Distance measures for speech processing": the L2 norm of the
    difference of log spectra, per frame.
    """
    reference, generated = check_waveforms(reference, generated)
    full_scale = _window(n_fft).sum() / 2
    levels = []
    for waveform in (reference, generated):
        power = _power(waveform, n_fft=n_fft, hop=hop) / full_scale**2
        levels.append(10 * power.clamp(min=10 ** (floor / 10)).log10())
    return (levels[0] - levels[1]).square().mean(dim=2).sqrt().mean(dim=(1, 2))


def mel_bank(n_fft: int, sample_rate: int, num_mels: int, f_min: float) -> Tensor:
    """Return triangular bands on the HTK mel scale, float64 [num_mels, n_fft // 2 + 1].

    Neighbors meet at each other's centers; the first begins at ``f_min``, the last ends at half
    the sample rate, and each reaches height one.
    """
    if num_mels < 1 or not 0 <= f_min < sample_rate / 2:
        raise ValueError(
            f"expected one or more bands between f_min and half of {sample_rate} Hz, got "
            f"{num_mels} from {f_min} Hz"
        )
    ends = torch.tensor([f_min, sample_rate / 2], dtype=torch.float64)
    low, high = (2595 * (1 + ends / 700).log10()).tolist()
    mels = torch.linspace(low, high, num_mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    widths = edges.diff()[:, None]
    rising = (bins - edges[:-2, None]) / widths[:-1]
    falling = (edges[2:, None] - bins) / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0)


def _mel_pair(
    reference: Tensor,
    generated: Tensor,
    *,
    sample_rate: int,
    n_fft: int,
    hop: int,
    num_mels: int,
    f_min: float,
    normalized: bool = False,
) -> list[Tensor]:
    """Return the mel powers of both sides, float64 [B, C, num_mels, F] each."""
    bank = _cached_bank(n_fft, sample_rate, num_mels, f_min).to(reference.device)
    energy = _window(n_fft).square().sum() if normalized else 1.0
    waveforms = check_waveforms(reference, generated)
    return [bank @ _power(waveform, n_fft=n_fft, hop=hop) / energy for waveform in waveforms]


def _power(waveform: Tensor, *, n_fft: int, hop: int) -> Tensor:
    """Return |STFT| ** 2 of float64 [B, C, T] as [B, C, n_fft // 2 + 1, ceil(T / hop)].

    (n_fft - hop) // 2 samples are mirrored at both ends and zeros fill the last frame. A sound
    too short to be mirrored is first continued with zeros.
    """
    if not 1 <= hop <= n_fft:
        raise ValueError(f"expected 1 <= hop <= n_fft, got hop {hop} and n_fft {n_fft}")
    samples = waveform.shape[-1]
    side = (n_fft - hop) // 2
    short = max(0, side + 1 - samples)
    extended = torch.nn.functional.pad(waveform, (0, short))
    mirrored = torch.nn.functional.pad(extended, (side, side), mode="reflect")
    whole = mirrored[..., : mirrored.shape[-1] - short]
    frames = -(-samples // hop)
    missing = max(0, (frames - 1) * hop + n_fft - whole.shape[-1])
    padded = torch.nn.functional.pad(whole, (0, missing))
    window = _window(n_fft).to(waveform.device)
    spectrum = torch.fft.rfft(padded.unfold(-1, n_fft, hop)[..., :frames, :] * window)
    return (spectrum.real.square() + spectrum.imag.square()).transpose(-1, -2)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # made in a validation, it must serve outside of one too
def _cached_bank(n_fft: int, sample_rate: int, num_mels: int, f_min: float) -> Tensor:
    return mel_bank(n_fft, sample_rate, num_mels, f_min)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _window(n_fft: int) -> Tensor:
    return torch.hann_window(n_fft, dtype=torch.float64)
