"""The arithmetic of overlaying two sounds; `audiogen.data.mixing` says which, when and how much."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiogen.data.captions import DESCRIPTION, Caption

BEFORE = -25.0  # dB RMS of both sounds before they are mixed in the reference
CEILING = 0.99  # a peak above it is turned down to it
FAINTEST = 1e-3  # of the first sound: below this a mixture has cancelled out and is not turned up
EPS = torch.finfo(torch.float32).eps


def mix(
    first: Tensor,
    second: Tensor,
    *,
    snr_db: float,
    start: int,
    level_db: float | None,
    max_samples: int,
) -> Tensor:
    """Overlay two sounds that are not silent.

    Args:
        first: float [C, t].
        second: float [C, u].
        snr_db: RMS of the first over that of the second, each measured over its own length.
        start: sample of the first at which the second begins.
        level_db: RMS of the result; None keeps that of the first.
        max_samples: beyond which the second is cut off.

    Returns:
        float [C, min(max(t, start + u), max_samples)], no sample beyond 0.99.
    """
    second = second * (rms(first) / rms(second) / 10 ** (snr_db / 20))
    size = min(max(first.shape[-1], start + second.shape[-1]), max_samples)
    sound = mix_pair(pad(first, (0, size - first.shape[-1])), second, start=start)
    level = rms(first) if level_db is None else 10 ** (level_db / 20)
    found = rms(sound).clamp(min=FAINTEST * rms(first))  # opposite sounds can cancel out
    sound = sound * (level / found)
    return sound * (CEILING / sound.abs().max().clamp(min=CEILING))


def mix_pair(first: Tensor, second: Tensor, *, start: int) -> Tensor:
    """Add ``second`` [..., u] to ``first`` [..., t] from sample ``start`` on, as far as it goes."""
    second = second[..., : max(first.shape[-1] - start, 0)]
    sound = first.clone()
    sound[..., start : start + second.shape[-1]] += second
    return sound


def rms(waveform: Tensor) -> Tensor:
    """Root of the mean square over channels and time, float []."""
    return waveform.square().mean().sqrt()


def mix_as_published(
    first: Tensor, second: Tensor, *, snr_db: float, start: int, level_db: float
) -> Tensor:
    """Overlay rows float [B, t] and [B, u] with the arithmetic of the reference, zeros included.

    Its guard against clipping divides by the largest sample. Where that is 0 in a row that clips
    below, the published formula is undefined; here the largest magnitude takes its place.
    """
    size = first.shape[1]
    first = at_level(first, BEFORE)
    second = at_level(pad(second[:, :size], (0, max(0, size - second.shape[1]))), BEFORE)
    ratio = _row_rms(first) / 10 ** (snr_db / 20) / (_row_rms(second) + EPS)
    sound = mix_pair(first, second * ratio[:, None], start=start)
    sound = sound * (10 ** (level_db / 20) / (_row_rms(sound) + EPS))[:, None]
    peak = sound.amax(dim=1, keepdim=True).abs()
    peak = peak.where(peak > EPS, sound.abs().amax(dim=1, keepdim=True))
    return torch.where(is_clipped(sound)[:, None], sound / (peak / (CEILING - EPS)), sound)


def at_level(waveform: Tensor, level_db: float) -> Tensor:
    """Bring rows float [B, t] to an RMS level as the reference does: to unit peak first."""
    waveform = waveform / (waveform.amax(dim=1, keepdim=True).abs() + EPS)
    return waveform * (10 ** (level_db / 20) / (_row_rms(waveform) + EPS))[:, None]


def is_clipped(waveform: Tensor) -> Tensor:
    """Which rows of float [B, t] have a sample beyond 0.99, bool [B]."""
    return (waveform.abs() > CEILING).any(dim=1)


def join_captions(first: Caption, second: Caption) -> Caption:
    """Describe two sounds at once, by attribute if one of the captions has attributes.

    >>> join_captions("dog bark", "rain"), join_captions("rain", "rain"), join_captions(None, "x")
    ('dog bark rain', 'rain', 'x')
    """
    if isinstance(first, Mapping) or isinstance(second, Mapping):
        rows = [
            caption if isinstance(caption, Mapping) else {DESCRIPTION: caption}
            for caption in (first, second)
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: _joined(*(row.get(name) for row in rows)) for name in names}
    return _joined(first, second)


def _joined(*texts: str | None) -> str | None:
    said = dict.fromkeys(text for text in texts if text)
    return " ".join(said) if said else None


def _row_rms(waveform: Tensor) -> Tensor:
    return waveform.square().mean(dim=1).sqrt()
