"""The log-mel patches that VGGish sees, in float64 like the reference's numpy.

Source: `mel_features.py` and `vggish_input.py` of tensorflow/models describe it; numbers only.
"""

from functools import cache
from math import inf, isfinite

import torch
from torch import Tensor

SAMPLE_RATE = 16000
FRAME, HOP, FFT = 400, 160, 512  # samples
BANDS, LOW, HIGH = 64, 125.0, 7500.0  # Hz
OFFSET = 0.01  # added to a band's magnitude before the logarithm: silence is log(0.01) = -4.605
PATCH = 96  # frames of one window
SHORTEST = FRAME + (PATCH - 1) * HOP  # samples of a patch: 15600, not 0.96 s = 15360
BLOCK = 4096  # frames at a time, so that minutes of sound need little memory


def log_mel(waveform: Tensor) -> Tensor:
    """Return log-mel frames of a mono waveform at 16 kHz.

    Args:
        waveform: float [T], full scale 1.

    Returns:
        float32 [1 + (T - 400) // 160, 64], natural logarithm of magnitudes (not powers) plus 0.01;
        no frames if T is below 400.

    Raises:
        ValueError: if it is not mono, or a sample is not finite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"expected a mono waveform [T], got {list(waveform.shape)}")
    if not waveform.isfinite().all():
        raise ValueError("the sound has samples that are not finite: look at its file")
    if len(waveform) < FRAME:
        return torch.empty(0, BANDS)
    window, bank = hann(), mel_bank()
    frames = waveform.detach().cpu().double().unfold(0, FRAME, HOP)
    return torch.cat(
        [
            ((torch.fft.rfft(part * window, n=FFT).abs() @ bank) + OFFSET).log().float()
            for part in frames.split(BLOCK)
        ]
    )


def patches(waveform: Tensor, *, window: float, hop: float) -> Tensor:
    """Cut log-mel frames into patches of 96 frames.

    Args:
        waveform: float [T] at 16 kHz.
        window: seconds of sound a patch needs. 0.96 is that of its frames (which takes 15600
            samples, the last frame reaching further); with 1.0 a window of 16000 samples must be
            complete, and its first 96 of 98 frames are taken, as Google's FAD does.
        hop: seconds from one patch to the next, in steps of 0.01.

    Returns:
        float32 [n, 96, 64]; a tail without a whole window is dropped, and n may be 0.

    Raises:
        ValueError: if the window or the hop cannot be had.
    """
    step = _check_scheme(window, hop)
    needed = max(SHORTEST, round(window * SAMPLE_RATE))
    count = max(0, 1 + (len(waveform) - needed) // (step * HOP))
    frames = log_mel(waveform)
    if count == 0:
        return torch.empty(0, PATCH, BANDS)
    return frames.unfold(0, PATCH, step)[:count].transpose(1, 2).contiguous()


@cache
def hann() -> Tensor:
    """Return the periodic Hann window, float64 [400]."""
    return torch.hann_window(FRAME, periodic=True, dtype=torch.float64)


@cache
def mel_bank() -> Tensor:
    """Return the mel filters, float64 [257, 64]: triangles in mel, of height one, deaf to DC."""
    bins = _mel(torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1, dtype=torch.float64))[:, None]
    low, high = _mel(torch.tensor([LOW, HIGH], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - left) / (middle - left)
    falling = (right - bins) / (right - middle)
    bank = torch.minimum(rising, falling).clamp(min=0.0)
    bank[0] = 0.0
    return bank


def _mel(hertz: Tensor) -> Tensor:
    """Return frequencies on the mel scale of HTK."""
    return 1127.0 * (hertz / 700.0).log1p()


def _check_scheme(window: float, hop: float) -> int:
    """Return the hop in frames."""
    step = round(hop * SAMPLE_RATE / HOP) if isfinite(hop) else 0
    if step < 1 or abs(step * HOP - hop * SAMPLE_RATE) > 1e-6:
        raise ValueError(f"hop must be a multiple of 0.01 s from 0.01 on, got {hop}")
    if not PATCH * HOP / SAMPLE_RATE <= window < inf:
        raise ValueError(f"window must be 0.96 s or more, the frames of one patch, got {window}")
    return step
