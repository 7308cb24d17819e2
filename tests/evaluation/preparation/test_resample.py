"""Resamplers against their formulas, the packages behind them, and how far apart they are."""

import math
import re

import numpy as np
import pytest
import torch

from evaluation.embedders.vggish_front import patches
from evaluation.preparation import resample as module
from evaluation.preparation.resample import (
    METHODS,
    PACKAGES,
    ResampleError,
    method_version,
    resample,
)

FILTERS = [method for method in METHODS if method != "decimate"]


@pytest.fixture(autouse=True)
def _installed(request):
    method = getattr(request.node, "callspec", None) and request.node.callspec.params.get("method")
    if isinstance(method, str) and method in PACKAGES:
        pytest.importorskip(PACKAGES[method][0])


def white(rate, *, seconds=4, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(0.1 * rng.standard_normal((1, rate * seconds))).float()


def tone(frequency, rate, *, seconds=1.0):
    times = np.arange(round(seconds * rate)) / rate
    return torch.from_numpy(np.sin(2 * math.pi * frequency * times)[None]).float()


def rms(waveform):
    return float(waveform.double().square().mean().sqrt())


def apart(one, other):
    return rms((one - other)[..., 500:-500]) / rms(other[..., 500:-500])


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize(("source", "target"), [(48000, 16000), (44100, 16000), (16000, 32000)])
def test_a_tone_stays_a_tone(method, source, target):
    resampled, expected = (
        resample(tone(997, source), source, target, method=method),
        tone(997, target),
    )
    assert resampled.dtype == torch.float32
    assert resampled.shape == expected.shape
    assert apart(resampled, expected) < (5e-3 if method == "sinc_hann6" else 1e-3)


@pytest.mark.parametrize("method", FILTERS)
def test_what_is_above_the_new_nyquist_is_gone(method):
    assert rms(resample(tone(11000, 48000), 48000, 16000, method=method)[..., 500:-500]) < 3e-3


def test_decimation_folds_it_down_at_full_level():
    folded = resample(tone(11000, 48000), 48000, 16000, method="decimate")
    torch.testing.assert_close(folded, -tone(5000, 16000), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("sinc_hann6", 0.155),
        ("resampy_kaiser_best", 0.097),
        ("soxr_hq", 0.068),
        ("sinc_kaiser64", 0.033),
    ],
)
def test_on_white_noise_they_differ_from_julius_as_much_as_published(method, expected):
    pytest.importorskip("julius")
    noise = white(48000, seconds=10)
    reference = resample(noise, 48000, 16000, method="julius")
    resampled = resample(noise, 48000, 16000, method=method)
    assert apart(resampled, reference) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("rate", [32000, 48000])
def test_decimated_noise_is_louder_in_every_band_of_vggish_by_the_root_of_the_ratio(rate):
    """White noise keeps its power when samples are dropped; a filter keeps only its share."""
    pytest.importorskip("soxr")
    noise = white(rate, seconds=20)
    bands = [
        patches(resample(noise, rate, 16000, method=method)[0], window=0.96, hop=0.96)
        for method in ("decimate", "soxr_hq")
    ]
    louder = (bands[0] - bands[1]).mean(dim=(0, 1))[:60]  # the last four are at soxr's edge
    expected = math.log(math.sqrt(rate / 16000))
    torch.testing.assert_close(louder, torch.full_like(louder, expected), rtol=0, atol=0.06)
    assert float(louder.mean()) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("method", "zeros", "rolloff", "window"),
    [
        ("julius", 24, 0.945, lambda x: np.cos(math.pi * x / 2) ** 2),
        ("sinc_hann6", 6, 0.99, lambda x: np.cos(math.pi * x / 2) ** 2),
        (
            "sinc_kaiser64",
            64,
            0.9475937167399596,
            lambda x: (
                np.i0(14.769656459379492 * np.sqrt(np.clip(1 - x**2, 0, 1)))
                / np.i0(14.769656459379492)
            ),
        ),
    ],
)
@pytest.mark.parametrize(("source", "target"), [(441, 160), (160, 320)])
def test_a_windowed_sinc_is_what_its_formula_says(method, zeros, rolloff, window, source, target):
    """Sample by sample: the sum over all inputs, weighted by a sinc under a window."""
    noise = white(source, seconds=3)[0]
    cutoff = min(source, target) * rolloff  # half of it is the edge, in Hz
    times = np.arange(3 * target)[:, None] / target - np.arange(len(noise))[None] / source
    places = times * cutoff
    weights = np.sinc(places) * window(np.clip(places / zeros, -1, 1))
    weights[np.abs(places) >= zeros] = 0
    if method == "julius":
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        weights *= cutoff / source
    expected = weights @ noise.double().numpy()
    resampled = resample(noise, source, target, method=method).numpy()
    inner = slice(100, -100)
    np.testing.assert_allclose(resampled[inner], expected[inner], rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", [*FILTERS, "decimate"])
def test_channels_do_not_see_each_other_and_nothing_is_changed_in_place(method):
    stereo = torch.cat([white(48000, seed=1), white(48000, seed=2)])
    before = stereo.clone()
    together = resample(stereo, 48000, 16000, method=method)
    for channel in range(2):
        alone = resample(stereo[channel], 48000, 16000, method=method)
        assert alone.ndim == 1
        torch.testing.assert_close(together[channel], alone, rtol=0, atol=1e-7)
    assert torch.equal(stereo, before)
    assert resample(stereo, 48000, 48000, method=method) is stereo


@pytest.mark.parametrize("method", FILTERS)
def test_a_single_sample_and_silence(method):
    assert resample(torch.zeros(1, 48000), 48000, 16000, method=method).abs().max() == 0
    for length in (1, 2, 7):
        made = resample(torch.ones(1, length), 16000, 48000, method=method)
        assert made.shape == (1, 3 * length)
        assert made.isfinite().all()


@pytest.mark.parametrize("method", FILTERS)
def test_nothing_is_never_what_comes_out(method):
    """A single sample has none left at a third of its rate, for most."""
    try:
        made = resample(torch.ones(2, 1), 48000, 16000, method=method)
    except ValueError as error:
        text = str(error)
    else:
        text = "left" if made.shape == (2, 1) else f"{made.shape}"
    assert re.search("left|too small", text)


def test_a_package_that_is_missing_is_named_with_its_extra_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for method, (package, extra) in PACKAGES.items():
        with pytest.raises(ResampleError, match=rf"{package}; .*pip install '\.\[{extra}\]'"):
            resample(torch.ones(1, 9), 3, 1, method=method)
    assert resample(torch.ones(1, 9), 3, 1, method="decimate").shape == (1, 3)


@pytest.mark.parametrize(
    ("source", "target", "method", "message"),
    [
        (44100, 16000, "decimate", "44100 Hz is no multiple of 16000 Hz"),
        (16000, 48000, "decimate", "16000 Hz is no multiple of 48000 Hz"),
        (47999, 16000, "sinc_hann6", "only 1 in common"),
        (47999, 16000, "sinc_kaiser64", "only 1 in common"),
        (3, 1, "polyphase", "must be one of julius, .* got 'polyphase'"),
        (3, 1, ["julius"], "must be one of julius"),
    ],
)
def test_what_cannot_be_done_is_refused(source, target, method, message):
    with pytest.raises(ResampleError, match=message):
        resample(torch.ones(1, 9), source, target, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_version(method):
    name, number = method_version(method).split()
    assert name in ("julius", "soxr", "resampy", "torchaudio")
    assert number[0].isdigit()


@pytest.mark.parametrize("method", ["julius", "sinc_hann6", "sinc_kaiser64"])
@pytest.mark.parametrize(
    ("source", "target"), [(48000, 16000), (44100, 16000), (16000, 48000), (44100, 48000)]
)
def test_a_long_sound_in_pieces_is_the_sound_as_a_whole(method, source, target, monkeypatch):
    noise = torch.randn(2, 40001, generator=torch.Generator().manual_seed(0))
    whole = resample(noise, source, target, method=method)
    monkeypatch.setattr("evaluation.preparation.resample.LONG", 3000)
    monkeypatch.setattr("evaluation.preparation.resample.PIECE", 3000)
    pieces = resample(noise, source, target, method=method)
    assert pieces.shape == whole.shape
    torch.testing.assert_close(pieces, whole, rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", ["julius", "sinc_hann6"])
def test_pieces_keep_the_length_that_the_package_rounds_in_float32(method):
    sound = torch.zeros(5_000_000)  # 1814058.96 samples, which float32 calls 1814059
    assert resample(sound, 44100, 16000, method=method).shape == (1814059,)


@pytest.mark.parametrize(
    ("source", "target", "samples", "expected"),
    [
        (44100, 48000, 441000, 480001),
        (44100, 48000, 220500, 240001),
        (22050, 48000, 220500, 480001),
        (44100, 32000, 441000, 320000),
        (96000, 32000, 960001, 320001),
        (11025, 32000, 140018, 406402),
        (48000, 16000, 1, 1),
    ],
)
def test_librosa_rounds_lengths_up_by_a_float_ratio(source, target, samples, expected):
    """The lengths that librosa 0.11.0 gave; the samples are those of soxr, and zeros."""
    pytest.importorskip("soxr")
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    made = resample(noise, source, target, method="soxr_hq_librosa")
    assert made.shape == (2, expected)
    if samples > 1:
        plain = resample(noise, source, target, method="soxr_hq")
        assert torch.equal(made[:, : plain.shape[1]], plain)
        assert not made[:, plain.shape[1] :].any()
