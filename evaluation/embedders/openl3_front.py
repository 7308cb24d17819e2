"""What OpenL3 sees: a picture in decibels of each second of sound.

Source: Cramer et al. 2019 ("Look, Listen, and Learn More"), in the form of the package openl3
0.4.2 with kapre 0.3.7.

Magnitudes are put into decibels as if they were powers, so a picture reaches down to 1e-8 of its
loudest point, and rounding is in it. Spectra are therefore taken in float32 as there, by the
algorithm of TensorFlow 2.15 on a CPU, which scipy has too. Older versions round more: their top
bands, above what the sound holds, are up to 4 dB higher.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.fft import rfft
from torch import Tensor
from torch.nn.functional import pad
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE = 48000
WINDOW = SAMPLE_RATE  # samples of a picture
HOP = 242  # samples
FLOOR = 1e-10  # magnitude, -100 dB
RANGE = 80.0  # dB below the loudest point of a picture
BLOCK = 8  # pictures at a time: their spectra take 30 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What differs between the published models."""

    fft: int  # samples, also of the Hann window
    mels: int | None  # bands; None leaves the spectrum as it is
    frames: int

    @property
    def bands(self) -> int:
        """Height of a picture."""
        return self.mels or self.fft // 2 + 1


PICTURES = {
    "mel256": Picture(fft=2048, mels=256, frames=199),  # the last frames run over the end
    "mel128": Picture(fft=2048, mels=128, frames=199),
    "linear": Picture(fft=512, mels=None, frames=197),  # whole frames only
}


def cut(sound: Tensor, *, hop: float, center: bool) -> Tensor:
    """Cut sounds into seconds, filled with zeros so that every sample is in one.

    Args:
        sound: float [C, T] at 48 kHz, T >= 1.
        hop: seconds from one to the next.
        center: put half a second of silence first, so that the first sample is in the middle.

    Returns:
        float [n, C, 48000], which may share its memory; n >= 1.

    Raises:
        ValueError: if a hop is shorter than a sample.
    """
    step = int(hop * SAMPLE_RATE) if math.isfinite(hop) else 0
    if step < 1:
        raise ValueError(f"hop must be a sample of 1 / {SAMPLE_RATE} s or more, got {hop!r} s")
    before = WINDOW // 2 if center else 0
    after = -(before + sound.shape[-1] - WINDOW)
    if after < 0:
        after %= step
    return pad(sound, (before, after)).unfold(-1, WINDOW, step).transpose(0, 1)


def draw(seconds: Tensor, picture: Picture) -> Tensor:
    """Map float [n, C, 48000] to float32 [n, C, bands, frames], in dB from -80 to 0.

    0 dB is the loudest point of each picture: one of silence is 0 everywhere.
    """
    drawn = torch.empty(*seconds.shape[:2], picture.bands, picture.frames)
    rows = drawn.flatten(0, 1)
    for start in range(0, len(rows), BLOCK):
        chosen = range(start, min(start + BLOCK, len(rows)))
        part = torch.stack([seconds[divmod(row, seconds.shape[1])] for row in chosen])
        rows[start : start + BLOCK] = _decibels(_magnitudes(part.float(), picture))
    return drawn


def _magnitudes(seconds: Tensor, picture: Picture) -> Tensor:
    """Map float32 [n, 48000] to magnitudes float32 [n, bands, frames]."""
    missing = (picture.frames - 1) * HOP + picture.fft - WINDOW
    frames = pad(seconds, (0, max(0, missing))).unfold(1, picture.fft, HOP)
    spectrum = torch.from_numpy(np.abs(rfft(frames.numpy() * hann(picture.fft))))
    if picture.mels is not None:
        spectrum = spectrum @ mel_bank(picture)
    return spectrum.transpose(1, 2)


def _decibels(magnitudes: Tensor) -> Tensor:
    """Map magnitudes (not powers) to 10 log10 of them, over the loudest of each picture."""
    levels = 10.0 * magnitudes.clamp(min=FLOOR).log10()
    return (levels - levels.amax(dim=(1, 2), keepdim=True)).clamp(min=-RANGE)


@cache
def hann(length: int) -> np.ndarray:
    """Return a periodic Hann window, float32, with the rounding of float32 on the way."""
    turns = np.arange(length, dtype=np.float32) * np.float32(2 * math.pi) / np.float32(length)
    return np.float32(0.5) - np.float32(0.5) * np.cos(turns)


@cache
def mel_bank(picture: Picture) -> Tensor:
    """Return mel filters, float32 [1 + fft / 2, mels]: Slaney's scale, of equal area."""
    bank = mel_filter_bank(
        num_frequency_bins=picture.fft // 2 + 1,
        num_mel_filters=picture.bands,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank).float()
