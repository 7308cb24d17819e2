"""Captioned procedural sounds: real enough to train on, free to make, known in every attribute.

Twelve families, each with the attributes that mean something for it (pitch, rate, count) and a
level. The attributes are drawn, heard in the waveform and said in the caption; the families with
a tone also carry overtones and breath or friction noise, as their models in the world do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

Samples = NDArray[np.float64]

LEVELS = {"soft": 0.05, "loud": 0.15}  # RMS of the sounding part, full scale 1
ROOM_TONE = 0.0015  # RMS of the noise under every clip: recordings are never digitally silent
SAMPLE_RATE = 16_000  # Hz; the families are tuned for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What a clip is to contain: a family and a value for each of its attributes."""

    family: str
    attributes: Mapping[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """Family and attributes as one flat mapping, for manifests and probes."""
        return {"family": self.family, **self.attributes}


def all_sounds() -> list[Sound]:
    """Return every combination of family and attribute values, in a fixed order."""
    sounds = []
    for family, (_, choices) in FAMILIES.items():
        combinations: list[dict[str, str]] = [{}]
        for name, values in (choices | {"level": tuple(LEVELS)}).items():
            combinations = [c | {name: value} for c in combinations for value in values]
        sounds += [Sound(family=family, attributes=c) for c in combinations]
    return sounds


def synthesize(sound: Sound, *, duration: float, rng: Generator) -> NDArray[np.float32]:
    """Render a sound.

    Args:
        sound: one of `all_sounds()`.
        duration: seconds, at least 1: counted events need room.
        rng: the source of every variation that the attributes leave open.

    Returns:
        float32 [T] at `SAMPLE_RATE`, within [-1, 1].

    Raises:
        ValueError: for an unknown family or too short a duration.
    """
    if sound.family not in FAMILIES:
        raise ValueError(f"unknown family {sound.family!r}; there are: {', '.join(FAMILIES)}")
    if not duration >= 1:
        raise ValueError(f"duration must be at least 1 s to hold counted events, got {duration}")
    render, _ = FAMILIES[sound.family]
    waveform = render(round(duration * SAMPLE_RATE), sound.attributes, rng)
    target = LEVELS[sound.attributes["level"]] * rng.uniform(0.9, 1.1)
    waveform = waveform * (target / _active_rms(waveform))
    waveform += ROOM_TONE * rng.standard_normal(len(waveform))
    # Below 0.7 nothing changes; sharp transients of loud clips bend instead of clipping.
    over = np.abs(waveform) > 0.7
    waveform[over] = np.sign(waveform[over]) * (
        0.7 + 0.29 * np.tanh((np.abs(waveform[over]) - 0.7) / 0.29)
    )
    return waveform.astype(np.float32)


def _active_rms(waveform: Samples, frame: int = 320) -> float:
    """RMS over the frames that sound: within 20 dB of the loudest, so pauses do not count."""
    frames = waveform[: len(waveform) // frame * frame].reshape(-1, frame)
    power = np.square(frames).mean(axis=1)
    return float(np.sqrt(power[power >= 0.01 * power.max()].mean()))


# Building blocks ---------------------------------------------------------------------------------


def _time(length: int) -> Samples:
    return np.arange(length) / SAMPLE_RATE


def _noise(length: int, rng: Generator, low: float | None, high: float | None) -> Samples:
    """White noise through a second-order band; edges in Hz, None leaves a side open."""
    edges = [edge for edge in (low, high) if edge is not None]
    kind = "bandpass" if len(edges) == 2 else "highpass" if low is not None else "lowpass"
    corners = edges if len(edges) == 2 else edges[0]
    filters = signal.butter(2, corners, btype=kind, fs=SAMPLE_RATE, output="sos")
    band = signal.sosfilt(filters, rng.standard_normal(length))
    return band / band.std()


def _harmonics(frequency: Samples, weights: tuple[float, ...], phase: float = 0.0) -> Samples:
    """A tone of time-varying frequency [T] in Hz with overtones, those above 7 kHz left out."""
    turns = phase + 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    tone = np.zeros_like(frequency)
    for k, weight in enumerate(weights, start=1):
        tone += weight * np.sin(k * turns) * (k * frequency < 7000)
    return tone


def _decay(length: int, attack: float, half_life: float) -> Samples:
    """An envelope that rises linearly over `attack` seconds and then halves per `half_life`."""
    t = _time(length)
    return np.minimum(t / attack, 1.0) * 0.5 ** (t / half_life)


def _swell(length: int, rate: float, rng: Generator, depth: float) -> Samples:
    """A slow rise and fall between 1 - depth and 1, at `rate` per second, random start."""
    turns = 2 * np.pi * (rate * _time(length) + rng.uniform())
    return 1 - depth * (0.5 + 0.5 * np.cos(turns))


def _repeat(
    length: int,
    event: Callable[[], Samples],
    *,
    period: float,
    rng: Generator,
    count: int | None = None,
) -> Samples:
    """Lay events `period` seconds apart, slightly uneven; without a count, until the end."""
    track = np.zeros(length)
    start = rng.uniform(0.02, 0.12 if count else min(period, 0.3))
    number = count if count is not None else length
    for i in range(number):
        at = int((start + i * period * rng.uniform(0.97, 1.03)) * SAMPLE_RATE)
        if at >= length:
            break
        sound = event()[: length - at]
        track[at : at + len(sound)] += sound
    return track


def _choose(attributes: Mapping[str, str], name: str, rng: Generator, **ranges: tuple) -> float:
    """Draw a number from the range that belongs to the attribute's value."""
    return float(rng.uniform(*ranges[attributes[name]]))


_COUNTS = {"one": 1, "two": 2, "three": 3}


# Families ----------------------------------------------------------------------------------------


def _rain(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    drops_per_second = _choose(attributes, "rate", rng, slow=(25, 40), fast=(900, 1300))
    impulses = (rng.uniform(size=length) < drops_per_second / SAMPLE_RATE) * rng.exponential(
        size=length
    )
    drop = _noise(160, rng, 1500, None) * _decay(160, 0.0005, 0.0015)
    bed = 0.02 if attributes["rate"] == "slow" else 0.5
    drops = signal.fftconvolve(impulses, drop)[:length]
    return drops / drops.std() + bed * _noise(length, rng, 1000, None)


def _wind(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    center = _choose(attributes, "pitch", rng, low=(180, 260), high=(900, 1200))
    gusts = _swell(length, rng.uniform(0.4, 0.8), rng, 0.7)
    return _noise(length, rng, center * 0.7, center * 1.4) * gusts


def _siren(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    rate = _choose(attributes, "rate", rng, slow=(0.5, 0.7), fast=(2.5, 3.2))
    turn = 2 * np.pi * (rate * _time(length) + rng.uniform())
    frequency = rng.uniform(700, 800) * 2 ** (0.45 * np.sin(turn))
    tone = _harmonics(frequency, (1.0, 0.6, 0.4, 0.25, 0.15))
    return tone + 0.15 * _noise(length, rng, 500, 4000)


def _bell(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    base = _choose(attributes, "pitch", rng, low=(330, 400), high=(1000, 1200))

    def strike() -> Samples:
        size = int(1.2 * SAMPLE_RATE)
        tone = np.zeros(size)
        for ratio, weight in ((1, 1.0), (2, 0.7), (2.4, 0.5), (3, 0.4), (4.2, 0.3), (5.4, 0.2)):
            if base * ratio < 7000:
                partial = _harmonics(np.full(size, base * ratio), (weight,), rng.uniform(0, 6))
                tone += partial * _decay(size, 0.002, 0.18 / ratio**0.5)
        return tone + 1.5 * _noise(size, rng, 2000, None) * _decay(size, 0.001, 0.006)

    return _repeat(length, strike, period=0.58, rng=rng, count=_COUNTS[attributes["count"]])


def _engine(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    firing = _choose(attributes, "rate", rng, slow=(16, 22), fast=(70, 90))
    drift = firing * (1 + 0.03 * np.sin(2 * np.pi * (0.7 * _time(length) + rng.uniform())))
    pulses = np.maximum(_harmonics(drift, (1.0, 0.7, 0.5, 0.4, 0.3, 0.2)), 0) ** 2
    rumble = pulses * _noise(length, rng, 60, 900)
    return rumble / rumble.std() + 0.5 * _harmonics(drift * 2, (1.0, 0.6, 0.4))


def _footsteps(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    period = 1 / _choose(attributes, "rate", rng, slow=(1.5, 1.9), fast=(3.6, 4.4))

    def step() -> Samples:
        size = int(0.16 * SAMPLE_RATE)
        thump = _noise(size, rng, 60, 250) * _decay(size, 0.004, 0.02)
        crunch = _noise(size, rng, 800, 5000) * _decay(size, 0.01, 0.02)
        return rng.uniform(0.8, 1.2) * (thump + 0.6 * crunch)

    return _repeat(length, step, period=period, rng=rng)


def _dog(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    base = _choose(attributes, "pitch", rng, low=(170, 220), high=(480, 580))

    def bark() -> Samples:
        size = int(0.22 * SAMPLE_RATE)
        t = _time(size) / 0.22
        voice = _harmonics(
            base * (1 + 0.5 * np.sin(np.pi * t)), (0.6, 1.0, 0.9, 0.7, 0.5, 0.3, 0.2)
        )
        rasp = 0.6 * _noise(size, rng, base * 1.5, base * 6)
        return (voice + rasp) * np.sin(np.pi * np.minimum(t * 1.02, 1.0)) ** 0.7

    return _repeat(length, bark, period=0.55, rng=rng, count=_COUNTS[attributes["count"]])


def _bird(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    base = _choose(attributes, "pitch", rng, low=(1500, 1800), high=(3300, 3800))
    period = 1 / _choose(attributes, "rate", rng, slow=(2.0, 2.5), fast=(6.5, 8.0))

    def chirp() -> Samples:
        size = int(0.09 * SAMPLE_RATE)
        t = _time(size) / 0.09
        tone = _harmonics(base * (1 + 0.35 * (t - 0.5)), (1.0, 0.35))
        return (tone + 0.2 * _noise(size, rng, base * 0.8, base * 1.3)) * np.sin(np.pi * t)

    return _repeat(length, chirp, period=period, rng=rng)


def _clock(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    period = 1 / _choose(attributes, "rate", rng, slow=(1.8, 2.2), fast=(5.5, 6.5))
    pitches = iter(np.tile([2600.0, 2000.0], length))

    def tick() -> Samples:
        size = int(0.05 * SAMPLE_RATE)
        tone = _harmonics(np.full(size, next(pitches)), (1.0, 0.4))
        click = _noise(size, rng, 1500, None)
        return (tone + 0.7 * click) * _decay(size, 0.001, 0.006)

    return _repeat(length, tick, period=period, rng=rng)


def _thunder(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    def clap() -> Samples:
        size = int(1.3 * SAMPLE_RATE)
        crack = 0.5 * _noise(size, rng, 100, 2500) * _decay(size, 0.01, 0.05)
        roll = _noise(size, rng, 30, 140) * _decay(size, 0.03, 0.2)
        return crack + roll

    return _repeat(length, clap, period=0.9, rng=rng, count=_COUNTS[attributes["count"]])


def _waves(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    rate = _choose(attributes, "rate", rng, slow=(0.45, 0.6), fast=(1.5, 1.9))
    surge = _swell(length, rate, rng, 0.95) ** 2
    return _noise(length, rng, 250, 1400) * surge + 0.4 * _noise(length, rng, 1400, None) * surge**2


def _alarm(length: int, attributes: Mapping[str, str], rng: Generator) -> Samples:
    base = _choose(attributes, "pitch", rng, low=(520, 600), high=(1500, 1700))
    period = 1 / _choose(attributes, "rate", rng, slow=(1.9, 2.2), fast=(4.5, 5.5))
    gate = signal.square(2 * np.pi * (_time(length) / period + rng.uniform()), duty=0.5) > 0
    softened = np.convolve(gate, np.hanning(80) / np.hanning(80).sum(), mode="same")
    tone = _harmonics(np.full(length, base), (1.0, 0.5, 0.6, 0.3, 0.35), rng.uniform(0, 6))
    return (tone + 0.12 * _noise(length, rng, 400, 6000)) * softened


Render = Callable[[int, Mapping[str, str], Generator], Samples]
Choices = dict[str, tuple[str, ...]]
_PITCH: Choices = {"pitch": ("low", "high")}
_RATE: Choices = {"rate": ("slow", "fast")}
_COUNT: Choices = {"count": ("one", "two", "three")}

FAMILIES: dict[str, tuple[Render, Choices]] = {
    "rain": (_rain, _RATE),
    "wind": (_wind, _PITCH),
    "siren": (_siren, _RATE),
    "bell": (_bell, _PITCH | _COUNT),
    "engine": (_engine, _RATE),
    "footsteps": (_footsteps, _RATE),
    "dog": (_dog, _PITCH | _COUNT),
    "bird": (_bird, _PITCH | _RATE),
    "clock": (_clock, _RATE),
    "thunder": (_thunder, {"count": ("one", "two")}),
    "waves": (_waves, _RATE),
    "alarm": (_alarm, _PITCH | _RATE),
}
