"""The front end against arrays of the reference: tests/golden/make_vggish.py says which."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedders.vggish_front import BANDS, PATCH, hann, log_mel, mel_bank, patches

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "vggish.npz")
WAVEFORM = torch.from_numpy(GOLDEN["waveform"])


def test_the_parts_of_the_spectrum():
    np.testing.assert_allclose(mel_bank(), GOLDEN["mel_matrix"], rtol=0, atol=1e-12)
    expected = [0.5 - 0.5 * math.cos(2 * math.pi * i / 400) for i in range(400)]
    np.testing.assert_allclose(hann(), expected, rtol=0, atol=1e-15)


def test_frames_and_patches_equal_the_reference():
    np.testing.assert_allclose(log_mel(WAVEFORM), GOLDEN["logmel_full"], rtol=0, atol=1e-6)
    found = patches(WAVEFORM, window=0.96, hop=0.96)
    np.testing.assert_allclose(found, GOLDEN["examples_096"], rtol=0, atol=1e-6)
    assert found.dtype == torch.float32


def test_a_tone_equals_the_reference():
    times = torch.arange(48000, dtype=torch.float64) / 16000
    found = patches((2 * math.pi * 1000 * times).sin(), window=0.96, hop=0.96)
    np.testing.assert_allclose(found, GOLDEN["smoke_1khz_examples"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sound", "windows"),
    [
        (WAVEFORM, "google_windows_nonorm"),
        (WAVEFORM / WAVEFORM.max().clamp(min=0.1), "google_windows_float"),
        (torch.from_numpy(GOLDEN["waveform_int16"]).double() / 16000, None),
    ],
)
def test_windows_of_one_second_equal_googles(sound, windows):
    if windows is None:  # raw 16-bit numbers, divided by the largest
        sound, windows = sound / sound.max(), "google_windows_int16"
    found = patches(sound, window=1.0, hop=0.5)
    np.testing.assert_allclose(found, GOLDEN[windows], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "side_by_side", "google"),
    [
        (0, 0, 0),
        (399, 0, 0),
        (15599, 0, 0),
        (15600, 1, 0),  # the last of 96 frames ends here
        (15999, 1, 0),
        (16000, 1, 1),
        (23999, 1, 1),
        (24000, 1, 2),
        (30960, 2, 2),
        (160000, 10, 19),
    ],
)
def test_how_many_windows_a_sound_has(samples, side_by_side, google):
    sound = torch.zeros(samples)
    assert patches(sound, window=0.96, hop=0.96).shape == (side_by_side, PATCH, BANDS)
    assert patches(sound, window=1.0, hop=0.5).shape == (google, PATCH, BANDS)


def test_a_patch_is_made_of_its_own_samples_alone():
    """Each patch equals the one patch of the sound cut to it, whatever the hop."""
    for hop in (0.96, 0.5, 0.48, 0.01):
        found = patches(WAVEFORM, window=0.96, hop=hop)
        last = len(found) - 1
        start = round(last * hop * 16000)
        alone = patches(WAVEFORM[start : start + 15600], window=0.96, hop=0.96)
        torch.testing.assert_close(found[last], alone[0], rtol=0, atol=1e-6)


def test_long_sounds_are_framed_in_blocks_without_a_seam():
    noise = torch.rand(5000 * 160, generator=torch.Generator().manual_seed(0)) - 0.5
    tail = log_mel(noise[4000 * 160 :])
    torch.testing.assert_close(log_mel(noise)[4000:], tail, rtol=0, atol=1e-6)


def test_silence_is_the_logarithm_of_the_offset():
    assert log_mel(torch.zeros(400)).tolist() == [[pytest.approx(math.log(0.01))] * BANDS]


def test_the_bank_is_deaf_below_125_hz_and_above_7500():
    heard = mel_bank().sum(dim=1) > 0
    assert heard.nonzero().flatten().tolist() == list(range(5, 240))  # bins of 31.25 Hz


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0.96, "hop": 0.0}, "multiple of 0.01 s"),
        ({"window": 0.96, "hop": -0.5}, "multiple of 0.01 s"),
        ({"window": 0.96, "hop": 0.125}, "multiple of 0.01 s"),
        ({"window": 0.5, "hop": 0.5}, "0.96 s or more"),
        ({"window": math.nan, "hop": 0.5}, "0.96 s or more"),
        ({"window": math.inf, "hop": 0.5}, "0.96 s or more"),
        ({"window": 0.96, "hop": math.nan}, "multiple of 0.01 s"),
    ],
)
def test_windows_that_cannot_be_had(options, words):
    with pytest.raises(ValueError, match=words):
        patches(torch.zeros(16000), **options)


def test_only_mono_waveforms_of_finite_samples():
    for wrong in (math.nan, math.inf):
        sound = torch.zeros(16000)
        sound[5000] = wrong
        with pytest.raises(ValueError, match="samples that are not finite"):
            patches(sound, window=0.96, hop=0.96)
    with pytest.raises(ValueError, match=r"mono waveform \[T\], got \[1, 16000\]"):
        patches(torch.zeros(1, 16000), window=0.96, hop=0.96)
