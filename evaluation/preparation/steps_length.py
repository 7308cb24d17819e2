"""Steps that change the length, at the end of the sound."""

from dataclasses import dataclass, replace

import torch

from evaluation.preparation.sound import Sound
from evaluation.preparation.steps_level import check_number


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A shorter sound is filled up with zeros."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound, at least that long."""
        return _padded(sound, round(self.seconds * sound.sample_rate))


@dataclass(frozen=True, slots=True)
class AtMost:
    """A longer sound is cut."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound, at most that long."""
        return _cut(sound, round(self.seconds * sound.sample_rate))


@dataclass(frozen=True, slots=True)
class Exactly:
    """A shorter sound is filled up with zeros, a longer one is cut."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)

    def __call__(self, sound: Sound) -> Sound:
        """Return the sound, exactly that long."""
        frames = round(self.seconds * sound.sample_rate)
        return _cut(_padded(sound, frames), frames)


def _cut(sound: Sound, frames: int) -> Sound:
    if sound.waveform.shape[-1] <= frames:
        return sound
    return replace(sound, waveform=sound.waveform[..., :frames])


def _padded(sound: Sound, frames: int) -> Sound:
    shortfall = frames - sound.waveform.shape[-1]
    if shortfall <= 0:
        return sound
    return replace(sound, waveform=torch.nn.functional.pad(sound.waveform, (0, shortfall)))


def _check_seconds(seconds: object) -> None:
    check_number("seconds", seconds)
    if not 0 < seconds <= 3600:  # type: ignore[operator]
        raise ValueError(f"seconds must be above 0 and at most 3600, got {seconds}")
