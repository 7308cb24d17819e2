"""Resample waveforms, whole or in parts that join without a seam."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

_ZEROS = 6  # zero crossings of the resampling filter on each side, torchaudio's default
_ROLLOFF = 0.99  # share of the lower Nyquist frequency that passes, torchaudio's default
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


def rate_ratio(source_rate: int, target_rate: int) -> tuple[int, int]:
    """Return the target rate over the source rate as a fraction in lowest terms."""
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


@lru_cache(maxsize=16)
def _resampler(down: int, up: int, device: str) -> Resample:
    transform = Resample(down, up, lowpass_filter_width=_ZEROS, rolloff=_ROLLOFF)
    return transform.to(device)
