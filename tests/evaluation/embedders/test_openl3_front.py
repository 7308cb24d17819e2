"""What OpenL3 sees, against openl3's own first layer and against closed forms."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedders import openl3_front
from evaluation.embedders.hashed import hashed_uniform
from evaluation.embedders.openl3_front import HOP, PICTURES, cut, draw, hann, mel_bank
from evaluation.embedders.openl3_rate import resample
from tests.evaluation.embedders.test_openl3 import sound

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "openl3.npz")


@pytest.mark.parametrize("sees", PICTURES)
@pytest.mark.parametrize("kind", [0, 1])
def test_pictures_equal_those_of_openl3(sees, kind):
    """Closely where there is sound; near the lowest 20 dB the rounding of the spectra is seen."""
    seconds = cut(resample(sound(4, kind=kind)[:1], 44100), hop=0.5, center=True)
    drawn = draw(seconds, PICTURES[sees])[:, 0, ::5, ::7].numpy()
    expected = GOLDEN[f"pictures__{sees}_{kind}"]
    assert drawn.shape == expected.shape
    loud = expected > -45
    assert loud.mean() > 0.6
    np.testing.assert_allclose(drawn[loud], expected[loud], rtol=0, atol=2e-3)
    assert np.abs(drawn - expected).mean() < 5e-3
    assert ((drawn == -80) != (expected == -80)).mean() < 1e-3


@pytest.mark.parametrize(
    ("length", "hop", "center", "count"),
    [
        (1, 0.5, True, 1), (24000, 0.5, True, 1), (24001, 0.5, True, 2), (48000, 0.5, True, 2),
        (48001, 0.5, True, 3), (480000, 0.5, True, 20), (1, 0.5, False, 1), (48000, 0.5, False, 1),
        (48001, 0.5, False, 2), (72000, 0.5, False, 2), (72001, 0.5, False, 3),
        (100000, 0.1, False, 12), (100000, 1.0, True, 3),
    ],
)  # fmt: skip
def test_every_sample_is_in_a_second(length, hop, center, count):
    sound = torch.arange(1.0, length + 1)[None]
    seconds = cut(sound, hop=hop, center=center)
    assert seconds.shape == (count, 1, 48000)
    joined = torch.zeros(48000 + (count - 1) * int(hop * 48000))
    for index, second in enumerate(seconds[:, 0]):
        joined[index * int(hop * 48000) :][:48000] = second
    before = 24000 if center else 0
    assert not joined[:before].any()
    assert joined[before : before + length].equal(sound[0])
    assert not joined[before + length :].any()
    if count > 1:  # no second of zeros alone
        assert before + length > 48000 + (count - 2) * int(hop * 48000)


@pytest.mark.parametrize("hop", [0.0, -0.5, 1e-9, math.nan, math.inf])
def test_hops_below_a_sample_are_refused(hop):
    with pytest.raises(ValueError, match="hop must be a sample of 1 / 48000 s or more"):
        cut(torch.zeros(1, 1), hop=hop, center=True)


@pytest.mark.parametrize("sees", PICTURES)
def test_a_click_is_drawn_where_it_is(sees):
    """A unit impulse has the magnitude of the window there on every bin; the loudest is 0 dB."""
    picture = PICTURES[sees]
    second, place = torch.zeros(1, 1, 48000), 20000
    second[0, 0, place] = 1.0
    heights = np.zeros(picture.frames)
    for frame in range(picture.frames):
        offset = place - frame * HOP
        if 0 <= offset < picture.fft:
            heights[frame] = 0.5 - 0.5 * math.cos(2 * math.pi * offset / picture.fft)
    bands = np.ones(picture.bands) if picture.mels is None else mel_bank(picture).sum(0).numpy()
    levels = 10 * np.log10(np.maximum(np.outer(bands, heights), 1e-10))
    expected = np.maximum(levels - levels.max(), -80)
    np.testing.assert_allclose(draw(second, picture)[0, 0], expected, rtol=0, atol=1e-3)


def test_magnitudes_are_not_powers():
    """A tenth of a click's level is 10 dB less in a picture, not 20, beside a click as loud."""
    second = torch.zeros(1, 1, 48000)
    second[0, 0, 50 * HOP], second[0, 0, 150 * HOP] = 1.0, 0.1
    drawn = draw(second, PICTURES["linear"])[0, 0]
    assert float(drawn[:, :100].max()) == 0.0
    assert abs(float(drawn[:, 100:].max()) + 10.0) < 1e-3


def test_silence_is_as_loud_as_can_be():
    assert not draw(torch.zeros(1, 1, 48000), PICTURES["mel256"]).any()


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_level_changes_nothing(gain):
    second = hashed_uniform((1, 1, 48000), key=4)
    first, second = (draw(each, PICTURES["mel128"]) for each in (second, gain * second))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-2)


def test_blocks_leave_no_seam(monkeypatch):
    seconds = hashed_uniform((5, 2, 48000), key=5)
    whole = draw(seconds, PICTURES["linear"])
    monkeypatch.setattr(openl3_front, "BLOCK", 3)
    torch.testing.assert_close(draw(seconds, PICTURES["linear"]), whole, rtol=0, atol=1e-4)
    assert whole.shape == (5, 2, 257, 197)


def test_the_window_is_hanns():
    exact = torch.hann_window(2048, dtype=torch.float64)
    np.testing.assert_allclose(hann(2048), exact, rtol=0, atol=2e-7)
