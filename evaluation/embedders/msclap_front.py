"""What Microsoft's CLAP hears: 7 s at 44.1 kHz, and how a sound becomes 7 s.

Source: the package msclap 1.3.4, version 2023. Its configuration names bands up to 8 kHz, but its
network is built for 32 kHz and bands up to 14 kHz, and gets 44.1 kHz all the same: so they reach
from 69 Hz to 19.3 kHz in truth. Where the package draws from Python's global stream, the place
here follows from a seed and the sound itself.
"""

import hashlib
from functools import cache

import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from evaluation.embedders.clap_front import BANDS, FFT, HIGH, LOW, mel_decibels

SAMPLE_RATE = 44100
CLIP = 308700  # samples, 7 s
HOP = 320  # samples
FRAMES = 1 + CLIP // HOP
NOMINAL_RATE = 32000  # Hz; what the filters believe


def prepare(waveform: Tensor, *, seed: int, bank: Tensor) -> Tensor:
    """Map a sound to what the audio tower takes.

    Args:
        waveform: float [T], one channel at 44.1 kHz, T >= 1.
        seed: of the place of the crop, as in `cut`.
        bank: mel filters float64 [513, 64].

    Returns:
        float32 [1, 1, 965, 64] in dB.

    Raises:
        ValueError: if there is no sound, or a sample is not finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"expected a waveform [T], got {list(waveform.shape)}")
    if len(waveform) == 0:
        raise ValueError("Microsoft's CLAP needs a sound, got one of 0 samples: leave it out")
    if not waveform.isfinite().all():
        raise ValueError("the sound has samples that are not finite: look at its file")
    piece = cut(waveform.detach().cpu().float(), seed=seed)
    return mel_decibels(piece, bank=bank, hop=HOP)[None, None]


def cut(waveform: Tensor, *, seed: int) -> Tensor:
    """Return 7 s of a sound float32 [T]: a crop, or the sound again and again.

    The place of a crop is drawn by the hash of the seed and the samples: a sound has one place
    whatever else is scored, and another seed another. The last place there is is never drawn, as
    in the package.
    """
    samples = len(waveform)
    if samples <= CLIP:
        return waveform.repeat(-(-CLIP // samples))[:CLIP]
    content = waveform.contiguous().numpy().tobytes()
    digest = hashlib.sha256(seed.to_bytes(8, "little") + content).digest()
    start = int.from_bytes(digest[:8], "little") % (samples - CLIP)
    return waveform[start : start + CLIP]


@cache
def mel_bank() -> Tensor:
    """Return the package's mel filters, float64 [513, 64]; a checkpoint brings them along."""
    bank = mel_filter_bank(
        num_frequency_bins=FFT // 2 + 1,
        num_mel_filters=BANDS,
        min_frequency=LOW,
        max_frequency=HIGH,
        sampling_rate=NOMINAL_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank).double()
