"""The resampling inside OpenL3: bit for bit resampy 0.2.2's, from tests/golden/make_openl3.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedders import openl3_rate
from evaluation.embedders.hashed import hashed_uniform
from evaluation.embedders.openl3_rate import resample

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "openl3.npz")


@pytest.mark.parametrize(("rate", "length"), [(44100, 3001), (16000, 777)])
def test_every_bit_is_that_of_resampy(rate, length):
    made = resample(hashed_uniform((1, length), key=5000), rate)
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made[0].numpy(), GOLDEN[f"rate__{rate}"])


def test_blocks_leave_no_seam(monkeypatch):
    sound = hashed_uniform((1, 2000), key=1)
    whole = resample(sound, 44100)
    monkeypatch.setattr(openl3_rate, "BLOCK", 97)
    assert resample(sound, 44100).equal(whole)


def test_channels_do_not_see_each_other():
    sound = hashed_uniform((2, 500), key=2)
    both = resample(sound, 22050)
    assert both.equal(torch.cat([resample(row[None], 22050) for row in sound]))


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_a_tone_stays_what_it_is(rate):
    """A sine well below the old Nyquist frequency is the same sine at 48 kHz, away from the ends;
    the straight lines between values of the table leave 1e-5 of it.
    """
    times = torch.arange(rate // 4, dtype=torch.float64) / rate
    made = resample((2 * torch.pi * 1000 * times).sin()[None].float(), rate)[0]
    expected = (2 * torch.pi * 1000 * torch.arange(len(made), dtype=torch.float64) / 48000).sin()
    middle = slice(2000, -2000)
    torch.testing.assert_close(made[middle].double(), expected[middle], rtol=0, atol=2e-5)


@pytest.mark.parametrize(("length", "made"), [(1, 1), (147, 160), (148, 161), (44101, 48001)])
def test_lengths_are_rounded_down(length, made):
    assert resample(torch.zeros(1, length), 44100).shape == (1, made)


def test_a_sound_of_48_khz_is_not_touched():
    sound = hashed_uniform((1, 10), key=3)
    assert resample(sound, 48000) is sound


@pytest.mark.parametrize(
    ("sound", "rate", "words"),
    [
        (torch.zeros(1, 5), 96000, "48000 Hz at most, got 96000"),
        (torch.zeros(1, 5), 0, "at most, got 0"),
        (torch.zeros(1, 0), 44100, "of 0 samples"),
        (torch.tensor([[torch.nan]]), 48000, "not finite"),
    ],
)
def test_what_cannot_be_heard_is_refused(sound, rate, words):
    with pytest.raises(ValueError, match=words):
        resample(sound, rate)
