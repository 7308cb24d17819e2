"""From two files to two comparable sounds, under the rules of a protocol card."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from evaluation.audio import AudioError, check_audible, read_channels
from evaluation.folders import Pair
from evaluation.preparation.resample import resample
from evaluation.preparation.sound import Sound
from evaluation.preparation.steps import Steps
from evaluation.protocols.card import ProtocolCard

PADDING = 0.1  # seconds a codec may add to fill its last frame; no usual one has longer frames
UNEVEN = 2  # samples by which resampling may leave two sounds of one duration apart


@dataclass(frozen=True, kw_only=True, slots=True)
class MonoSound:
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
            AudioError: for a pair of rates that the resampler cannot bring together.
        """
        try:
            return resample(self.waveform, self.sample_rate, sample_rate, method=self.resampler)
        except ValueError as error:
            raise AudioError(str(error)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """A pair as networks get it: all channels, before the steps of any network."""

    name: str
    reference: Sound
    generated: Sound  # after the card's steps for generated sounds and its length rule
    generated_as_is: Sound  # after the length rule alone
    cut: float = 0.0  # seconds taken off the end of the generated sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A pair as metrics on waveforms get it: one channel each."""

    name: str
    reference: MonoSound
    generated: MonoSound
    generated_as_is: MonoSound  # without the card's steps for generated sounds, such as a level
    cut: float = 0.0  # seconds taken off the end of the generated sound


def load_sides(pair: Pair, card: ProtocolCard) -> Sides:
    """Decode a pair once, for all that is measured on it.

    Raises:
        AudioError: naming the file that cannot be scored.
    """
    reference, generated = (decode(path, card) for path in (pair.reference, pair.generated))
    frames = max(1, round(reference.duration * generated.sample_rate))
    surplus = generated.waveform.shape[-1] - frames
    if card.length == "match":
        _check_match(surplus, generated.sample_rate, pair)
    try:
        prepared = prepare_generated(generated, card, duration=reference.duration)
    except ValueError as error:
        raise AudioError(f"{pair.generated}: {error}") from error
    cut = card.length != "keep" and surplus > 0
    return Sides(
        name=pair.name,
        reference=reference,
        generated=prepared,
        generated_as_is=_first(generated, frames) if cut else generated,
        cut=surplus / generated.sample_rate if cut else 0.0,
    )


def decode(path: Path, card: ProtocolCard) -> Sound:
    """Decode a file with all of its channels, and apply the card's silence rule.

    Raises:
        AudioError: naming the file that cannot be scored.
    """
    samples, sample_rate = read_channels(path)
    if card.silence != "score":
        check_audible(samples, path=path, mono=card.input_steps().mono or "mean")
    waveform = torch.from_numpy(samples.T.copy())
    return Sound(waveform=waveform, sample_rate=sample_rate)


def prepare_generated(sound: Sound, card: ProtocolCard, *, duration: float) -> Sound:
    """Apply what a card does to generated sounds alone: its steps, and then its length rule.

    Args:
        sound: any number of channels.
        card: the protocol.
        duration: of the reference, in seconds.

    Raises:
        ValueError: naming the step that cannot be done with this sound.
    """
    sound = card.generated_steps()(sound)
    if card.length == "keep":
        return sound
    return _first(sound, max(1, round(duration * sound.sample_rate)))


def make_item(sides: Sides, card: ProtocolCard) -> Item:
    """Apply the card's steps before metrics on waveforms.

    Raises:
        AudioError: naming the pair, and the step that cannot be done with it.
    """
    steps = card.input_steps()
    try:
        reference, as_is = (
            _mono(sound, steps, card) for sound in (sides.reference, sides.generated_as_is)
        )
        generated = as_is
        if sides.generated is not sides.generated_as_is:
            generated = _mono(sides.generated, steps, card)
    except ValueError as error:
        raise AudioError(f"{sides.name}: {error}") from error
    return Item(
        name=sides.name,
        reference=reference,
        generated=generated,
        generated_as_is=as_is,
        cut=sides.cut,
    )


def _mono(sound: Sound, steps: Steps, card: ProtocolCard) -> MonoSound:
    sound = steps(sound)
    return MonoSound(waveform=sound.mono(), sample_rate=sound.sample_rate, resampler=card.resampler)


def _first(sound: Sound, frames: int) -> Sound:
    """Return the beginning of a sound; the sound itself if it is no longer than that."""
    if sound.waveform.shape[-1] <= frames:
        return sound
    return replace(sound, waveform=sound.waveform[:, :frames])


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
