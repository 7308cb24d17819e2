"""What CLAP sees: log-mel spectrograms of 10 s at 48 kHz, and how a sound becomes 10 s.

The rules are those of laion_clap. Where it draws a crop from numpy's global random stream, so that
one sound has many embeddings, the place here follows from the sound itself.
"""

import hashlib
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchaudio.functional import melscale_fbanks
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE = 48000
CLIP = 480000  # samples, 10 s
FFT, HOP = 1024, 480  # samples
BANDS, LOW, HIGH = 64, 50.0, 14000.0  # Hz; not the 0 Hz that transformers takes by default
FRAMES = 1 + CLIP // HOP
BLOCK = 2048  # frames at a time, so that minutes of sound need little memory
FLOOR = 1e-10  # power, -100 dB
FULL_SCALE = 32767  # of laion's 16-bit round trip
LONG = ("random_crop", "first", "windows", "fusion")
SHORT = ("repeat_then_pad", "repeat", "pad")


def prepare(waveform: Tensor, *, fusion: bool, long: str, short: str, quantize: bool) -> Tensor:
    """Map a sound to what the audio tower takes.

    Args:
        waveform: float [T], mono at 48 kHz, T >= 1.
        fusion: whether the network was trained with fusion, which has another filter bank.
        long: what becomes of a sound over 10 s. "random_crop" of 10 s, at a place drawn from the
            hash of its samples; "first" 10 s; "windows" of 10 s, as few as cover it, evenly
            spaced, a row each; "fusion" of the whole, shrunk, with three crops.
        short: what becomes of one below 10 s. "repeat_then_pad" with zeros what no whole copy
            fills; "repeat" and cut; or "pad" with zeros, which is what AudioCraft's come to,
            since it pads a batch to its longest sound first.
        quantize: round to 16 bits as laion_clap does with arrays and files, not with tensors.

    Returns:
        float32 [n, 1, 1001, 64] in dB; [1, 4, 1001, 64] of a sound that was fused.

    Raises:
        ValueError: if there is no sound, or a sample is not finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"expected a mono waveform [T], got {list(waveform.shape)}")
    if len(waveform) == 0:
        raise ValueError("CLAP needs a sound, got one of 0 samples: leave it out")
    if not waveform.isfinite().all():
        raise ValueError("the sound has samples that are not finite: look at its file")
    waveform = waveform.detach().cpu().float()
    if quantize:
        waveform = (waveform.clamp(-1, 1) * FULL_SCALE).to(torch.int16).float() / FULL_SCALE
    if long == "fusion" and len(waveform) > CLIP:
        return fuse(log_mel(waveform, fusion=fusion), waveform)[None]
    pieces = cut(waveform, long=long, short=short)
    return torch.stack([log_mel(piece, fusion=fusion) for piece in pieces])[:, None]


def cut(waveform: Tensor, *, long: str, short: str) -> list[Tensor]:
    """Cut or fill a sound float [T] to pieces float [480000]; options as in `prepare`."""
    samples = len(waveform)
    if samples < CLIP:
        return [_fill(waveform, short)]
    if long == "windows":
        count = -(-samples // CLIP)
        spread = [round(i * (samples - CLIP) / max(1, count - 1)) for i in range(count)]
        return [waveform[start : start + CLIP] for start in spread]
    start = draw(waveform, samples - CLIP + 1, 1)[0] if long == "random_crop" else 0
    return [waveform[start : start + CLIP]]


def fuse(mel: Tensor, waveform: Tensor) -> Tensor:
    """Map log-mel frames [F, 64] of a long sound to [4, 1001, 64], or [1, 1001, 64] if F is 1001.

    The four are the whole, shrunk, and a crop of 10 s from each third of the places it could be.
    """
    places = len(mel) - FRAMES + 1
    if places == 1:  # less than a frame over 10 s
        return mel[None]
    thirds = [part if len(part) else np.array([0]) for part in np.array_split(range(places), 3)]
    draws = draw(waveform, [len(part) for part in thirds], 3)
    starts = [int(part[index]) for part, index in zip(thirds, draws, strict=True)]
    whole = interpolate(mel[None, None], size=(FRAMES, BANDS), mode="bilinear")[0, 0]
    return torch.stack([whole, *(mel[start : start + FRAMES] for start in starts)])


def draw(waveform: Tensor, below: int | list[int], count: int) -> list[int]:
    """Draw whole numbers from 0 to ``below`` - 1, by the hash of a sound: its own, and always."""
    digest = hashlib.sha256(waveform.contiguous().numpy().data).digest()
    bounds = below if isinstance(below, list) else [below] * count
    return [
        int.from_bytes(digest[8 * i : 8 * i + 8], "little") % bound
        for i, bound in enumerate(bounds)
    ]


def log_mel(waveform: Tensor, *, fusion: bool) -> Tensor:
    """Map float [T], mono at 48 kHz, T over 512, to float32 [1 + T // 480, 64] in dB."""
    return mel_decibels(waveform, bank=mel_bank(fusion), hop=HOP)


def mel_decibels(waveform: Tensor, *, bank: Tensor, hop: int) -> Tensor:
    """Map a sound to power in mel bands, by Hann windows of 1024 samples, its ends mirrored.

    Args:
        waveform: float [T], T over 512.
        bank: mel filters float64 [513, 64].
        hop: samples from one window to the next.

    Returns:
        float32 [1 + T // hop, 64] in dB, -100 at the least.
    """
    padded = pad(waveform[None], (FFT // 2, FFT // 2), mode="reflect")[0]
    window = torch.hann_window(FFT, dtype=torch.float64)
    mels = []
    for frames in padded.unfold(0, FFT, hop).split(BLOCK):
        power = torch.view_as_real(torch.fft.rfft(frames.double() * window)).square().sum(dim=-1)
        mels.append((10 * (power @ bank).clamp(min=FLOOR).log10()).float())
    return torch.cat(mels)


@cache
def mel_bank(fusion: bool) -> Tensor:
    """Return mel filters, float64 [513, 64]: torchaudio's with fusion, librosa's without.

    They are about 21 dB apart, and no network can be run on the other's.
    """
    bins = FFT // 2 + 1
    if fusion:
        return melscale_fbanks(bins, LOW, HIGH, BANDS, SAMPLE_RATE).double()
    bank = mel_filter_bank(
        num_frequency_bins=bins,
        num_mel_filters=BANDS,
        min_frequency=LOW,
        max_frequency=HIGH,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank).double()


def _fill(waveform: Tensor, short: str) -> Tensor:
    """Fill a sound to 10 s."""
    samples = len(waveform)
    if short == "repeat":
        return waveform.repeat(CLIP // samples + 1)[:CLIP]
    if short == "repeat_then_pad":
        waveform = waveform.repeat(CLIP // samples)
    return pad(waveform, (0, CLIP - len(waveform)))
