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
PADDING = 0.1  # seconds a codec may add to fill its last frame; no usual one has longer frames
UNEVEN = 2  # samples by which resampling may leave two sounds of one duration apart
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
    cut: float = 0.0  # seconds taken off the end of the generated sound


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
    length = len(generated.waveform)
    if card.length != "keep":
        frames = max(1, round(reference.duration * generated.sample_rate))
        if card.length == "match":
            _check_match(length - frames, generated.sample_rate, pair)
        generated = replace(generated, waveform=generated.waveform[:frames])
    return Item(
        name=pair.name,
        reference=reference,
        generated=set_loudness(generated, card.generated_loudness, floor=card.loudness_floor),
        generated_as_is=generated,
        cut=(length - len(generated.waveform)) / generated.sample_rate,
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


def _check_match(surplus: int, sample_rate: int, pair: Pair) -> None:
    """Refuse a round trip that is not its original's length, but for the codec's last frame.

    Raises:
        AudioError: with the difference in seconds.
    """
    if -UNEVEN <= surplus <= PADDING * sample_rate:
        return
    which = "longer" if surplus > 0 else "shorter"
    raise AudioError(
        f"{pair.generated}: {abs(surplus) / sample_rate:.4f} s {which} than its reference. The "
        f"protocol's `length: match` allows {PADDING} s more, for the padding of a codec, and no "
        "less. Write the whole round trip, or score with a card of `length: cut`."
    )


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
