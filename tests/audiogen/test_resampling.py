import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from audiogen.resampling import convert_audio, input_span, rate_ratio, resample

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "audio.npz")  # golden/make_audio.py

RATES = [
    (44100, 16000),
    (48000, 16000),
    (8000, 16000),
    (22050, 32000),
    (47999, 16000),
    (16000, 15991),
]


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_sine_stays_a_sine(source, target):
    """Against the closed form, away from the edges."""
    frequency = 0.2 * min(source, target)
    seconds = 3 if min(source, target) < 10000 else 1
    inside = torch.arange(seconds * source, dtype=torch.float64) / source
    outside = torch.arange(seconds * target, dtype=torch.float64) / target
    result = resample(torch.sin(2 * math.pi * frequency * inside), source, target)
    expected = torch.sin(2 * math.pi * frequency * outside)
    middle = slice(target // 10, -target // 10)
    assert len(result) == len(expected)
    torch.testing.assert_close(result.double()[middle], expected[middle], rtol=0, atol=5e-3)


def test_agrees_with_an_independent_filter():
    noise = np.random.default_rng(0).standard_normal(44100)
    smooth = scipy.signal.sosfiltfilt(scipy.signal.butter(8, 4000, fs=44100, output="sos"), noise)
    ours = resample(torch.from_numpy(smooth.copy()), 44100, 16000).numpy()
    theirs = scipy.signal.resample_poly(smooth, 160, 441)
    np.testing.assert_allclose(ours[200:-200], theirs[200:-200], rtol=0, atol=2e-3)


def test_nothing_above_the_new_limit_folds_back():
    time = torch.arange(48000, dtype=torch.float64) / 48000
    high = torch.sin(2 * math.pi * 11000 * time)
    assert resample(high, 48000, 16000)[1000:-1000].abs().max() < 0.01


@pytest.mark.parametrize(("source", "target"), RATES)
def test_parts_join_without_a_seam(source, target):
    up, down = rate_ratio(source, target)
    signal = torch.randn(3 * source // 2, generator=torch.Generator().manual_seed(1))
    whole = resample(signal, source, target)
    cuts = [0, 1, 500, target // 2 + 7, target, len(whole)]
    for first, last in pairwise(cuts):
        begin, end = input_span(first, last, up=up, down=down, frames=len(signal))
        part = resample(signal[begin:end], down, up)[first - begin // down * up :][: last - first]
        torch.testing.assert_close(part, whole[first:last], rtol=0, atol=1e-5)


def test_the_same_rate_changes_nothing():
    signal = torch.randn(2, 100)
    assert torch.equal(resample(signal, 16000, 16000), signal)


def test_refuses_rates_that_are_none():
    with pytest.raises(ValueError, match="must be 1 or more Hz, got 0 and 16000"):
        resample(torch.zeros(4), 0, 16000)


@pytest.mark.parametrize("name", [name for name in GOLDEN.files if name.startswith("convert_")])
def test_conversion_matches_golden(name):
    source, target, channels = map(int, name.split("_")[1:])
    sound = torch.from_numpy(GOLDEN["wav" if source == 8000 else "stereo"])[:, :2500]
    converted = convert_audio(sound, source, target, channels)
    torch.testing.assert_close(converted, torch.from_numpy(GOLDEN[name]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (16000, 44100), (48000, 16000)])
def test_the_sharper_filter_keeps_a_sine_and_stops_what_folds_back(source, target):
    """Against the closed form, away from the edges."""
    lower = min(source, target)
    inside = torch.arange(source, dtype=torch.float64) / source
    outside = torch.arange(target, dtype=torch.float64) / target
    middle = slice(target // 10, -target // 10)
    kept = 2 * math.pi * 0.42 * lower  # 0.84 of the Nyquist frequency
    converted = convert_audio(torch.sin(kept * inside)[None], source, target, 1)[0]
    assert len(converted) == target
    torch.testing.assert_close(
        converted.double()[middle], torch.sin(kept * outside)[middle], rtol=0, atol=1e-3
    )
    if target < source:
        high = torch.sin(2 * math.pi * 0.54 * lower * inside)[None]
        assert convert_audio(high, source, target, 1)[..., middle].abs().max() < 1e-3


def test_conversion_of_channels_and_batches():
    sounds = torch.randn(2, 3, 100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(convert_audio(sounds, 8, 8, 2), sounds[:, :2])
    assert torch.equal(convert_audio(sounds, 8, 8, 1), sounds.mean(dim=1, keepdim=True))
    assert convert_audio(sounds[:, :1], 8, 8, 4).shape == (2, 4, 100)
    one = convert_audio(sounds[1], 24, 16, 3)
    torch.testing.assert_close(convert_audio(sounds, 24, 16, 3)[1], one, rtol=0, atol=1e-6)
    assert one.shape == (3, 66)


@pytest.mark.parametrize(
    ("shape", "rates", "channels", "message"),
    [
        ((2, 10), (16, 8), 3, r"cannot make 3 channels of \[2, 10\]"),
        ((1, 0), (16, 8), 1, r"cannot make 1 channels of \[1, 0\]"),
        ((1, 10), (47999, 16000), 1, "as 16000 to 47999, .* beyond memory"),
        ((1, 10), (0, 16000), 1, "1 or more Hz"),
    ],
)
def test_refuses_to_convert(shape, rates, channels, message):
    with pytest.raises(ValueError, match=message):
        convert_audio(torch.zeros(shape), *rates, channels)
