import math

import pytest
import torch

from recipes.page.codec_or_lm import (
    BOTH,
    CODEC,
    MODEL,
    NEITHER,
    RULES,
    UNKNOWN,
    Measured,
    SpectralLoss,
    band_levels,
    judge,
    spectral_loss,
    summary,
)

RATE = 16_000


def verdict(accuracy=(1.0, 1.0, 1.0), *, level=(1.0, 1.0), spectrum=None, n=100):
    row = Measured(name="a", n=n, accuracy=accuracy, level=level, spectrum=spectrum)
    return judge([row])[0]


@pytest.mark.parametrize(
    ("accuracy", "who", "mostly"),
    [
        ((1.0, 1.0, 1.0), NEITHER, None),
        ((1.0, 0.5, 0.5), CODEC, None),
        ((1.0, 1.0, 0.5), MODEL, None),
        ((1.0, 0.8, 0.3), BOTH, MODEL),
        ((1.0, 0.4, 0.2), BOTH, CODEC),
        ((1.0, 0.7, 0.4), BOTH, None),
        ((1.0, 0.5, 0.9), CODEC, None),  # what the model gains is no loss
        ((0.4, 0.1, 0.0), UNKNOWN, None),
        ((None, None, None), UNKNOWN, None),
        ((1.0, 0.5, None), CODEC, None),
    ],
)
def test_the_step_at_which_it_falls_is_who_lost_it(accuracy, who, mostly):
    found = verdict(accuracy)
    assert (found.who, found.mostly) == (who, mostly)


def test_a_loss_within_chance_is_none():
    """Of 10 clips 2 are lost: one-sided 95 % of the smoothed shares 11/12 and 9/12 is 0.26."""
    few, many = verdict((1.0, 0.8, 0.8), n=10), verdict((1.0, 0.8, 0.8), n=100)
    assert (few.who, many.who) == (NEITHER, CODEC)
    error = math.sqrt((11 / 12 * 1 / 12 + 9 / 12 * 3 / 12) / 10)
    assert 0.2 < 1.645 * error < 0.27
    assert verdict((1.0, 0.7, 0.7), n=10).who == CODEC


def test_less_than_a_tenth_is_not_worth_a_word():
    assert verdict((1.0, 0.905, 0.905), n=100_000).who == NEITHER
    assert verdict((1.0, 0.895, 0.895), n=100_000).who == CODEC


def test_level_is_lost_below_half_of_the_step_before():
    assert verdict(level=(0.5, 0.25)).who == NEITHER
    codec = verdict(level=(0.4, 0.3))
    assert (codec.who, codec.codec, codec.model) == (CODEC, ("level down to 0.40",), ())
    model = verdict(level=(0.8, 0.2))
    assert (model.who, model.model) == (MODEL, ("level down to 0.25",))
    assert verdict(level=(0.0, 0.0)).who == CODEC
    assert verdict(level=(None, None)).who == NEITHER


def test_spectrum_of_the_model_has_to_leave_chance():
    def lost(**distances):
        settings = {"codec": 0.0, "model": 0.0, "chance": 1.0}
        return verdict(spectrum=SpectralLoss(**settings | distances)).who

    assert lost(codec=2.9) == NEITHER
    assert lost(codec=3.0, chance=9.0) == CODEC  # the same clips: no chance in it
    assert lost(model=5.0, chance=5.0) == NEITHER
    assert lost(model=5.1, chance=5.0) == MODEL
    assert lost(model=5.0, chance=None) == MODEL


def test_other_measures_speak_where_the_probe_cannot():
    assert verdict((0.2, 0.1, 0.1), level=(0.3, 0.3)).who == CODEC
    silent = verdict((0.2, 0.1, 0.1))
    assert (silent.who, silent.why) == (UNKNOWN, "the probe names 20% of the real")


def test_a_handful_of_clips_says_nothing():
    found = verdict((1.0, 0.0, 0.0), level=(0.0, 0.0), n=4)
    assert (found.who, found.why) == (UNKNOWN, "4 of 5 clips that it takes")


def test_summary_counts():
    rows = [verdict((1.0, b, c)) for b, c in ((1.0, 1.0), (0.5, 0.5), (0.5, 0.5), (1.0, 0.1))]
    assert summary(rows) == "the codec 2, the language model 1, neither 1"
    assert summary([]) == ""


def tones(levels, seconds=0.5):
    time = torch.arange(round(seconds * RATE)) / RATE
    return torch.stack([level * torch.sin(2 * math.pi * 1000 * time) for level in levels])


def test_noise_of_a_tenth_lies_20_db_lower_in_every_band():
    noise = torch.randn(3, RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    loss = spectral_loss(noise, 0.5 * noise, 0.05 * noise, sample_rate=RATE)
    floor = band_levels(torch.zeros(1, RATE), RATE)
    assert float(floor.mean()) == pytest.approx(-60, abs=0.01)
    assert loss.codec == pytest.approx(6.02, abs=0.1)  # near the floor a little less
    assert loss.model == pytest.approx(20, abs=3)
    assert loss.chance < 2


def test_the_same_sounds_have_no_distance_and_halves_have():
    sounds = tones([0.1, 0.4])
    loss = spectral_loss(sounds, sounds, sounds.flip(0), sample_rate=RATE)
    assert (loss.codec, loss.model) == (0, 0)
    assert loss.chance > 0
    assert spectral_loss(sounds[:1], sounds, sounds, sample_rate=RATE).chance is None


def test_every_line_is_explained():
    text = " ".join(RULES)
    for line in ("0.1 or more", "50%", "below 0.5", "3 dB", "fewer than 5"):
        assert line in text, line
