"""What OpenL3 does with a sound that has not 48 kHz: resampy's "kaiser_best", before version 0.3.

openl3 allows no newer one. Its filter is read from a table, by straight lines between 512 values
per zero crossing, and its sums are rounded to float32 at every step: both leave traces 60 to 75 dB
below the sound, which OpenL3 hears above the sound's own 22 kHz. Here they are the same, bit for
bit.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

TARGET = 48000  # Hz
CROSSINGS = 64  # zeros of the filter on one side
TABLE = 512  # values from one zero to the next
ROLLOFF = 0.9475937167399596  # of Nyquist
BETA = 14.769656459379492  # of the Kaiser window
BLOCK = 1 << 14  # output samples at a time: they stay in the processor's cache


def resample(waveform: Tensor, source: int) -> Tensor:
    """Bring a sound to 48 kHz; at 48 kHz, return it itself.

    Args:
        waveform: float32 [C, T], full scale 1.
        source: its rate, Hz, 48000 at most.

    Returns:
        float32 [C, T'], T' = T * 48000 / source, rounded down.

    Raises:
        ValueError: for a rate above 48 kHz, or a sound that is empty or not finite.
    """
    if not 0 < source <= TARGET:
        raise ValueError(f"OpenL3 takes sounds of {TARGET} Hz at most, got {source} Hz")
    if waveform.shape[-1] == 0:
        raise ValueError("OpenL3 needs a sound, got one of 0 samples: leave it out")
    if not waveform.isfinite().all():
        raise ValueError("the sound has samples that are not finite: look at its file")
    if source == TARGET:
        return waveform
    ratio = TARGET / source
    sound = np.pad(waveform.detach().cpu().numpy(), ((0, 0), (CROSSINGS, CROSSINGS)))
    made = np.empty((len(sound), int(waveform.shape[-1] * ratio)), np.float32)
    time = np.float64(0.0)
    for start in range(0, made.shape[1], BLOCK):
        part = made[:, start : start + BLOCK]
        # resampy adds up the step, and so do the sums of cumsum, one by one.
        times = np.cumsum(np.concatenate([[time], np.full(part.shape[1], 1.0 / ratio)]))
        part[:], time = _interpolate(sound, times[:-1]), times[-1]
    return torch.from_numpy(made)


def _interpolate(sound: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Read a sound between its samples.

    Args:
        sound: float32 [C, CROSSINGS + T + CROSSINGS], zeros on both sides.
        times: float64 [n], in samples, from 0 to T.

    Returns:
        float32 [C, n].
    """
    whole = times.astype(np.int64)
    after = times - whole
    values = np.zeros((len(sound), len(times)), np.float32)
    for part, first, step in ((after, CROSSINGS, -1), (1.0 - after, CROSSINGS + 1, 1)):
        place = part * TABLE
        begin = place.astype(np.int64)
        between = place - begin
        for tap in range(CROSSINGS):
            heights, slopes = (row[tap * TABLE :][: 2 * TABLE] for row in _table())
            weights = heights.take(begin) + between * slopes.take(begin)
            samples = sound.take(whole + (first + step * tap), axis=1)
            values = (values + weights * samples).astype(np.float32)
    return values


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Return the right half of the filter and the differences of its values, both float64.

    It ends, in zeros, where there is not a whole crossing of it left: resampy reads no further.
    """
    count = CROSSINGS * TABLE + 1
    places = np.linspace(0, CROSSINGS, count)
    heights = ROLLOFF * np.sinc(ROLLOFF * places) * np.kaiser(2 * count - 1, BETA)[count - 1 :]
    slopes = np.append(np.diff(heights), 0.0)
    for values in (heights, slopes):
        values[count - TABLE + 1 :] = 0.0
    return np.pad(heights, (0, 2 * TABLE)), np.pad(slopes, (0, 2 * TABLE))
