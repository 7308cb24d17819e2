"""The procedural sounds: reproducible, finite, at the level they say, and audible attributes."""

import numpy as np
import pytest

from audiogen.data.synthetic import (
    FAMILIES,
    LEVELS,
    SAMPLE_RATE,
    Sound,
    _active_rms,
    all_sounds,
    synthesize,
)


def render(sound: Sound, seed: int = 0) -> np.ndarray:
    return synthesize(sound, duration=2.0, rng=np.random.default_rng(seed))


def variants(family: str) -> list[Sound]:
    return [sound for sound in all_sounds() if sound.family == family]


def test_there_are_twelve_families_and_every_combination_is_listed_once():
    sounds = all_sounds()
    assert len(FAMILIES) >= 12
    assert len({(s.family, *sorted(s.attributes.items())) for s in sounds}) == len(sounds)
    assert all(sound.attributes["level"] in LEVELS for sound in sounds)


@pytest.mark.parametrize("sound", all_sounds(), ids=lambda s: "-".join(s.labels.values()))
def test_every_sound_is_finite_within_full_scale_and_at_its_level(sound):
    waveform = render(sound)
    assert waveform.dtype == np.float32
    assert waveform.shape == (2 * SAMPLE_RATE,)
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() < 1
    # Ten percent of level variation, the room tone, and the bend of sharp transients.
    assert _active_rms(waveform.astype(float)) == pytest.approx(
        LEVELS[sound.attributes["level"]], rel=0.3
    )


def test_the_same_generator_gives_the_same_sound_and_another_one_another():
    sound = variants("bell")[0]
    assert np.array_equal(render(sound, 1), render(sound, 1))
    assert not np.array_equal(render(sound, 1), render(sound, 2))


@pytest.mark.parametrize("family", [f for f, (_, a) in FAMILIES.items() if "pitch" in a])
def test_high_sounds_have_a_higher_spectral_center(family):
    def center(pitch: str) -> float:
        chosen = [s for s in variants(family) if s.attributes["pitch"] == pitch]
        power = sum(np.abs(np.fft.rfft(render(sound))) ** 2 for sound in chosen)
        frequencies = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)
        return float((power * frequencies).sum() / power.sum())

    assert center("high") > 1.5 * center("low")


@pytest.mark.parametrize("family", [f for f, (_, a) in FAMILIES.items() if "count" in a])
def test_counted_events_can_be_counted(family):
    for sound in variants(family):
        expected = {"one": 1, "two": 2, "three": 3}[sound.attributes["count"]]
        block = 3200 if family == "thunder" else 800  # a roll of thunder trembles within 200 ms
        envelope = np.abs(render(sound)).reshape(-1, block).max(axis=1)
        loud = envelope > 0.45 * envelope.max()
        onsets = int(loud[0]) + int((loud[1:] & ~loud[:-1]).sum())
        assert onsets == expected, sound


def test_unknown_families_and_short_durations_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown family 'tuba'; there are: rain"):
        synthesize(Sound(family="tuba", attributes={"level": "soft"}), duration=2.0, rng=rng)
    for duration in (0.5, 0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="at least 1 s"):
            synthesize(all_sounds()[0], duration=duration, rng=rng)
