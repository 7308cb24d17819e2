"""Resample waveforms, whole or in parts that join without a seam."""

import math
from functools import lru_cache
from numbers import Real

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

_ZEROS = 6  # zero crossings of the resampling filter on each side, torchaudio's default
_ROLLOFF = 0.99  # share of the lower Nyquist frequency that passes, torchaudio's default
_SHARP_ZEROS = 24  # julius' defaults
_SHARP_ROLLOFF = 0.945
_MAX_KERNEL = 2**24  # weights; rates such as 47,999 and 16,000 have no common divisor


def resample(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Resample float [..., T] to float32 [..., ceil(T * target_rate / source_rate)].

    Windowed sinc with 6 zero crossings on each side, flat to 0.99 of the lower Nyquist frequency.
    Where the two rates share so small a divisor that its table of filters would not fit in memory,
    scipy's polyphase filter takes over.
    """
    up, down = rate_ratio(source_rate, target_rate)
    if up == down:
        return waveform.float()
    if _kernel_size(up, down) > _MAX_KERNEL:
        return _resample_polyphase(waveform, up, down)
    return _resampler(down, up, str(waveform.device))(waveform.float())


def convert_audio(
    waveform: Tensor, source_rate: int, target_rate: int, target_channels: int
) -> Tensor:
    """Resample and change channels as AudioCraft's ``convert_audio`` does.

    Its filter (julius' ``resample_frac``) is longer than that of `resample`: 24 zero crossings,
    flat to 0.89 of the lower Nyquist frequency; the edges go on with their last sample.

    Args:
        waveform: float [..., C, T].
        source_rate: Hz.
        target_rate: Hz.
        target_channels: 1 takes the mean, more repeat a mono sound or keep the first ones.

    Returns:
        float32 [..., target_channels, floor(T * target_rate / source_rate)].

    Raises:
        ValueError: if there are too few channels, no samples, or the rates share so small a divisor
            that the filters would not fit in memory, as 47,999 and 16,000 Hz do.
    """
    channels = waveform.shape[-2]
    if not waveform.numel() or target_channels < 1 or 1 < channels < target_channels:
        raise ValueError(
            f"cannot make {target_channels} channels of {list(waveform.shape)} samples: give 1 "
            "channel, or as many as wanted"
        )
    resampled = _resample_sharp(waveform.float(), *rate_ratio(source_rate, target_rate))
    if target_channels == 1:
        return resampled.mean(dim=-2, keepdim=True)
    if channels == 1:
        return resampled.expand(*resampled.shape[:-2], target_channels, -1)
    return resampled[..., :target_channels, :]


def rate_ratio(source_rate: int, target_rate: int) -> tuple[int, int]:
    """Return the target rate over the source rate as a fraction in lowest terms.

    Raises:
        ValueError: if one of them is no whole number of 1 or more; 16000.0 is one.
    """
    for rate in (source_rate, target_rate):
        if isinstance(rate, bool) or not isinstance(rate, Real) or not float(rate).is_integer():
            raise ValueError(f"a sample rate must be a whole number of Hz, got {rate!r}")
    source_rate, target_rate = int(source_rate), int(target_rate)
    if source_rate < 1 or target_rate < 1:
        raise ValueError(f"sample rates must be 1 or more Hz, got {source_rate} and {target_rate}")
    divisor = math.gcd(source_rate, target_rate)
    return target_rate // divisor, source_rate // divisor


def input_span(first: int, last: int, *, up: int, down: int, frames: int) -> tuple[int, int]:
    """Input frames that outputs [first, last) depend on; it begins at a multiple of ``down``.

    Only there do the phases of the filter bank repeat, so that a part comes out like the whole.
    """
    if up == down:
        return first, last
    blocks = -(-_width(up, down) // down) + 1
    begin = max(0, first // up - blocks) * down
    return begin, min(frames, ((last - 1) // up + 1 + blocks) * down)


def _width(up: int, down: int) -> int:
    """Input frames on each side that one output depends on, for either of the two filters."""
    return max(math.ceil(_ZEROS * down / (min(up, down) * _ROLLOFF)), -(-10 * max(up, down) // up))


def _kernel_size(up: int, down: int) -> int:
    return up * (2 * _width(up, down) + down)


def _resample_polyphase(waveform: Tensor, up: int, down: int) -> Tensor:
    from scipy.signal import resample_poly  # takes as long to import as torch, and is rarely needed

    samples = resample_poly(waveform.detach().cpu().float().numpy(), up, down, axis=-1)
    return torch.from_numpy(samples.astype(np.float32)).to(waveform.device)


def _resample_sharp(waveform: Tensor, up: int, down: int) -> Tensor:
    """Resample float32 [..., T] to [..., floor(T * up / down)]; all ``up`` phases in one pass."""
    if up == down:
        return waveform
    width = math.ceil(_SHARP_ZEROS * down / (min(up, down) * _SHARP_ROLLOFF))
    if up * (2 * width + down) > _MAX_KERNEL:
        raise ValueError(
            f"the rates are as {up} to {down}, which takes a table of filters beyond memory: "
            "use audiogen.resampling.resample"
        )
    rows = waveform.reshape(-1, 1, waveform.shape[-1])
    padded = torch.nn.functional.pad(rows, (width, width + down), mode="replicate")
    kernels = _sharp_kernels(up, down, width).to(waveform.device)
    phases = torch.nn.functional.conv1d(padded, kernels, stride=down)
    joined = phases.transpose(1, 2).reshape(*waveform.shape[:-1], -1)
    return joined[..., : waveform.shape[-1] * up // down]


@lru_cache(maxsize=16)
def _sharp_kernels(up: int, down: int, width: int) -> Tensor:
    """One windowed sinc per phase, float32 [up, 1, 2 * width + down], each of sum 1."""
    place = torch.arange(-width, width + down, dtype=torch.float32) / down  # float32 as theirs
    phase = torch.arange(up)[:, None] / up
    cutoff = min(up, down) * _SHARP_ROLLOFF
    angle = math.pi * ((place - phase) * cutoff).clamp(-_SHARP_ZEROS, _SHARP_ZEROS)
    sinc = torch.where(angle == 0, 1.0, angle.sin() / angle)
    kernels = sinc * (angle / (2 * _SHARP_ZEROS)).cos().square()
    return (kernels / kernels.sum(dim=1, keepdim=True))[:, None]


@lru_cache(maxsize=16)
def _resampler(down: int, up: int, device: str) -> Resample:
    transform = Resample(down, up, lowpass_filter_width=_ZEROS, rolloff=_ROLLOFF)
    return transform.to(device)
