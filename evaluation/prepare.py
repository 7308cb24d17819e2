"""From two files to two comparable sounds, under the rules of a protocol card."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import loudness
from torchaudio.transforms import Resample

from evaluation.audio import AudioError, read_sound
from evaluation.folders import Pair
from evaluation.protocol import ProtocolCard

MAX_KERNEL = 2**24  # weights of a resampling filter, about
LOUDNESS_BLOCK = 0.4  # seconds; ITU-R BS.1770-4 has no loudness below one block


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A mono waveform at its own rate, and how to bring it to another."""

    waveform: Tensor  # float32 [T], full scale 1
    sample_rate: int  # Hz
    resampler: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate

    def at(self, sample_rate: int) -> Tensor:
        """Return the waveform at another rate, float32 [T'].

        Raises:
            AudioError: for a pair of rates whose table of filters would not fit into memory.
        """
        if sample_rate == self.sample_rate:
            return self.waveform
        divisor = math.gcd(sample_rate, self.sample_rate)
        if sample_rate // divisor * (self.sample_rate // divisor) > MAX_KERNEL:
            raise AudioError(
                f"{self.sample_rate} Hz cannot be brought to {sample_rate} Hz: the rates have "
                f"only {divisor} in common. Resample the file to a usual rate first."
            )
        return _resampler(self.sample_rate, sample_rate, self.resampler)(self.waveform)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A pair, decoded, cut and leveled."""

    name: str
    reference: Sound
    generated: Sound
    generated_as_is: Sound  # before the loudness rule


def load_item(pair: Pair, card: ProtocolCard) -> Item:
    """Decode a pair and apply the card's mono, silence, length and loudness rules.

    Raises:
        AudioError: naming the file that cannot be scored.
    """
    allow_silence = card.silence == "score"
    reference, generated = (
        Sound(waveform=torch.from_numpy(waveform), sample_rate=rate, resampler=card.resampler)
        for waveform, rate in (
            read_sound(path, mono=card.mono, allow_silence=allow_silence)
            for path in (pair.reference, pair.generated)
        )
    )
    if card.length == "cut":
        frames = round(reference.duration * generated.sample_rate)
        generated = replace(generated, waveform=generated.waveform[: max(1, frames)])
    return Item(
        name=pair.name,
        reference=reference,
        generated=set_loudness(generated, card.generated_loudness, floor=card.loudness_floor),
        generated_as_is=generated,
    )


def set_loudness(sound: Sound, target: float | None, *, floor: float) -> Sound:
    """Scale a sound to a loudness and clip it to full scale.

    Args:
        sound: any sound; one shorter than a loudness block keeps its level.
        target: LUFS; None leaves the sound alone.
        floor: RMS, full scale 1; a quieter sound keeps its level.
    """
    rms = sound.waveform.double().square().mean().sqrt()
    if target is None or rms < floor or sound.duration < LOUDNESS_BLOCK:
        return sound
    level = loudness(sound.waveform[None], sound.sample_rate)
    if not level.isfinite():
        return sound
    gain = 10 ** ((target - float(level)) / 20)
    return replace(sound, waveform=(gain * sound.waveform).clamp(-1, 1))


@lru_cache(maxsize=8)
def _resampler(source: int, target: int, kind: str) -> Resample:
    if kind == "sinc_kaiser64":
        return Resample(
            source,
            target,
            resampling_method="sinc_interp_kaiser",
            lowpass_filter_width=64,
            rolloff=0.9475937167399596,  # of Nyquist
            beta=14.769656459379492,
        )
    return Resample(source, target, resampling_method="sinc_interp_hann", lowpass_filter_width=6)
