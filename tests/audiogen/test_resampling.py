import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.signal
import torch

from audiogen.resampling import input_span, rate_ratio, resample

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
