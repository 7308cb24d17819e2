"""Steps that change channels and rate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from evaluation.preparation.resample import check_method, decimate, resample
from evaluation.preparation.sound import Sound

HIGHEST = 768000  # Hz
BLOCK = 1 << 20  # samples at a time


@dataclass(frozen=True, slots=True)
class Mono:
    """One channel: the mean of all, the first, or all of them one after the other.

    The last is what becomes of a stereo file in msclap, which takes all samples for one sound.
    """

    how: str  # "mean", "first" or "joined"

    def __post_init__(self) -> None:
        if self.how not in ("mean", "first", "joined"):
            raise ValueError(f"expected mean, first or joined, got {self.how!r}")

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound with one channel."""
        if len(sound.waveform) == 1:
            return sound
        if self.how == "first":
            return replace(sound, waveform=sound.waveform[:1])
        if self.how == "joined":
            return replace(sound, waveform=sound.waveform.reshape(1, -1))
        parts = sound.waveform.split(BLOCK, dim=-1)  # a long sound in float64 would be a large one
        means = [part.double().mean(dim=0, keepdim=True).to(part.dtype) for part in parts]
        return replace(sound, waveform=torch.cat(means, dim=-1))


@dataclass(frozen=True, slots=True)
class Stereo:
    """Two channels: a single one is taken twice."""

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound with two channels.

        Raises:
            ValueError: for three or more.
        """
        channels = len(sound.waveform)
        if channels > 2:
            raise ValueError(f"expected one or two channels, got {channels}. Mix the file down.")
        return sound if channels == 2 else replace(sound, waveform=sound.waveform.repeat(2, 1))


@dataclass(frozen=True, slots=True)
class Resampled:
    """Another rate, by a named resampler.

    Source rates in ``decimate_from`` are brought down by taking every n-th sample instead. Those in
    ``double_speed_from`` are decimated and then resampled once more as if they had not been, which
    plays them too fast: what audioldm_eval did to 32 kHz files until June 2023.
    """

    rate: int  # Hz
    method: str  # key of evaluation.preparation.resample.METHODS
    decimate_from: Sequence[int] = ()  # Hz
    double_speed_from: Sequence[int] = ()  # Hz

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_method(self.method)
        for name in ("decimate_from", "double_speed_from"):
            rates = getattr(self, name)
            if isinstance(rates, str) or not isinstance(rates, Sequence):
                raise ValueError(f"{name} must be a list of rates in Hz, got {rates!r}")
            for rate in rates:
                check_rate(rate)
            object.__setattr__(self, name, tuple(rates))

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound at the rate."""
        waveform, source = sound.waveform, sound.sample_rate
        if source == self.rate:
            return sound
        if source in self.decimate_from:
            waveform = decimate(waveform, source, self.rate)
        else:
            if source in self.double_speed_from:
                waveform = decimate(waveform, source, self.rate)
            waveform = resample(waveform, source, self.rate, method=self.method)
        return Sound(waveform=waveform, sample_rate=self.rate)


def check_rate(rate: object) -> None:
    """Refuse what is no rate.

    Raises:
        ValueError: if it is not a positive whole number, or above what any sound has.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate <= HIGHEST:
        raise ValueError(
            f"a rate is a positive whole number of Hz, {HIGHEST} at most, got {rate!r}"
        )
