import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal
from torchaudio.functional import melscale_fbanks

from evaluation.metrics.log_spectral import LogSpectralDistance, log_spectral_distance
from evaluation.metrics.mel_distance import (
    MelDistance,
    MultiScaleMel,
    mel_distance,
    multi_scale_mel,
)
from evaluation.metrics.si_sdr import SISDR
from evaluation.metrics.spectral import mel_bank

TESTS = Path(__file__).parents[2]
GOLDEN = np.load(TESTS / "golden" / "codec.npz")  # losses/*: what AudioCraft returned
OUTSIDE = TESTS.parents[1] / "shared" / "fixtures" / "metrics" / "codec_metrics.npz"
REFERENCE = torch.from_numpy(GOLDEN["losses/y"])  # [2, 1, 4800], 16 kHz
ESTIMATE = torch.from_numpy(GOLDEN["losses/y_pred"])
RATE = 16000
SPECTRAL = {
    "mel": lambda r, g: mel_distance(r, g, sample_rate=RATE),
    "multi_scale": lambda r, g: multi_scale_mel(r, g, sample_rate=RATE),
    "log_spectral": log_spectral_distance,
}


def spectrogram(waveform, *, n_fft, hop):
    """|STFT| ** 2 of float64 [T] by scipy, mirrored and filled up like the real one."""
    side = (n_fft - hop) // 2
    padded = np.pad(np.pad(waveform, side, mode="reflect"), (0, n_fft))
    window = signal.get_window("hann", n_fft)
    _, _, spectrum = signal.stft(
        padded, window=window, nperseg=n_fft, noverlap=n_fft - hop, boundary=None, padded=False
    )
    return np.abs(spectrum * window.sum())[:, : -(-len(waveform) // hop)] ** 2


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank")
        yield


def mel_by_scipy(waveform, *, n_fft, hop):
    bank = melscale_fbanks(n_fft // 2 + 1, 64.0, RATE / 2, 64, RATE).double().numpy()
    return bank.T @ spectrogram(waveform, n_fft=n_fft, hop=hop)


@pytest.fixture(params=[4800, 4799, 1023])
def pair(request):
    return [x[:, 0, : request.param].double() for x in (REFERENCE, ESTIMATE)]


def test_audiocraft_values():
    value = mel_distance(REFERENCE, ESTIMATE, sample_rate=RATE).mean()
    assert float(value) == pytest.approx(float(GOLDEN["losses/mel"]), rel=1e-5)
    value = multi_scale_mel(REFERENCE, ESTIMATE, sample_rate=RATE).mean()
    assert float(value) == pytest.approx(float(GOLDEN["losses/msspec"]), rel=1e-5)


@pytest.mark.skipif(not OUTSIDE.is_file(), reason="shared fixtures are not here")
def test_values_of_the_reference_system_on_whole_clips():
    arrays = np.load(OUTSIDE)
    pair = [torch.from_numpy(arrays[key]) for key in ("ref", "est")]
    for function, key in ((mel_distance, "mel_l1"), (multi_scale_mel, "msspec")):
        value = function(*pair, sample_rate=RATE).mean()
        assert float(value) == pytest.approx(float(arrays[key]), rel=1e-5)


def test_mel_distance_by_scipy(pair):
    expected = []
    for sounds in zip(*pair, strict=True):
        logs = [np.log10(1e-5 + mel_by_scipy(x.numpy(), n_fft=1024, hop=256)) for x in sounds]
        expected.append(np.abs(logs[0] - logs[1]).mean())
    np.testing.assert_allclose(mel_distance(*pair, sample_rate=RATE), expected, rtol=1e-4)


def test_multi_scale_mel_by_scipy(pair):
    expected = []
    for sounds in zip(*pair, strict=True):
        terms = []
        for n_fft in (64, 128, 256, 512, 1024):
            norm = np.sum(signal.get_window("hann", n_fft) ** 2)
            r, g = (mel_by_scipy(x.numpy(), n_fft=n_fft, hop=n_fft // 4) / norm for x in sounds)
            terms += [np.abs(r - g).mean(), np.square(np.log10((1e-5 + r) / (1e-5 + g))).mean()]
        expected.append(np.mean(terms))
    np.testing.assert_allclose(multi_scale_mel(*pair, sample_rate=RATE), expected, rtol=1e-4)


def test_log_spectral_distance_by_scipy(pair):
    expected = []
    for sounds in zip(*pair, strict=True):
        power = [spectrogram(x.numpy(), n_fft=1024, hop=256) / 256**2 for x in sounds]
        r, g = (10 * np.log10(np.maximum(p, 1e-10)) for p in power)
        expected.append(np.sqrt(np.square(r - g).mean(axis=0)).mean())
    values = log_spectral_distance(*pair, n_fft=1024, hop=256)
    np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_bands_are_torchaudios():
    for n_fft, rate in ((1024, 16000), (64, 16000), (512, 44100)):
        theirs = melscale_fbanks(n_fft // 2 + 1, 64.0, rate / 2, 64, rate).T.double()
        torch.testing.assert_close(mel_bank(n_fft, rate, 64, 64.0), theirs, rtol=0, atol=2e-5)


def test_a_gain_is_its_decibels():
    """Far above the floor a gain of 10 is 20 dB, 2 in log10 of the power."""
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(1, 16000, generator=generator, dtype=torch.float64)
    assert float(log_spectral_distance(sound, 10 * sound)) == pytest.approx(20.0, abs=1e-3)
    assert float(mel_distance(sound, 10 * sound, sample_rate=RATE)) == pytest.approx(2.0, abs=1e-3)


def test_a_full_scale_sine_reads_zero_db_on_its_bin():
    """Against silence, of one bin of 1025 the level is 100 dB above the floor, of two 94 dB."""
    times = torch.arange(2048 * 20, dtype=torch.float64)
    sine = torch.sin(2 * torch.pi * 100 / 2048 * times)[None]
    value = float(log_spectral_distance(sine, 0 * sine, n_fft=2048, hop=2048))
    expected = np.sqrt((100**2 + 2 * (100 - 20 * np.log10(2)) ** 2) / 1025)
    assert value == pytest.approx(expected, rel=1e-6)


def test_what_is_below_the_floor_is_equal():
    quiet = 1e-9 * REFERENCE
    assert (log_spectral_distance(quiet, 0 * quiet) == 0).all()
    assert (log_spectral_distance(quiet, 0 * quiet, floor=-300.0) > 1).all()


@pytest.mark.parametrize("name", SPECTRAL)
def test_equal_sounds_are_at_zero_and_the_order_does_not_matter(name):
    distance = SPECTRAL[name]
    assert (distance(REFERENCE, REFERENCE) == 0).all()
    torch.testing.assert_close(distance(REFERENCE, ESTIMATE), distance(ESTIMATE, REFERENCE))
    torch.testing.assert_close(distance(REFERENCE, ESTIMATE), distance(REFERENCE, -ESTIMATE))
    silence = torch.zeros(1, 1, 4800)
    assert float(distance(silence, silence)) == 0


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("samples", [1, 2, 63, 400])
def test_sounds_shorter_than_a_frame_have_a_distance(name, samples):
    part = slice(1000, 1000 + samples)
    values = SPECTRAL[name](REFERENCE[..., part], ESTIMATE[..., part])
    assert values.shape == (2,)
    assert (values.isfinite() & (values > 0)).all()


@pytest.mark.parametrize("name", SPECTRAL)
def test_items_channels_and_precision_do_not_mix(name):
    distance = SPECTRAL[name]
    both = distance(REFERENCE, ESTIMATE)
    alone = torch.cat([distance(REFERENCE[i], ESTIMATE[i]) for i in range(2)])  # [1, T]
    torch.testing.assert_close(both, alone)
    stereo = distance(REFERENCE.transpose(0, 1), ESTIMATE.transpose(0, 1))
    torch.testing.assert_close(stereo, both.mean()[None])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(distance(REFERENCE, ESTIMATE), both)


def test_tables_made_in_a_validation_serve_outside_of_it():
    for distance in SPECTRAL.values():
        with torch.inference_mode():
            distance(REFERENCE, ESTIMATE)
        estimate = ESTIMATE.clone().requires_grad_()
        distance(REFERENCE, estimate).sum().backward()
        assert estimate.grad.isfinite().all()


@pytest.mark.parametrize("name", SPECTRAL)
def test_what_is_no_pair_is_refused(name):
    with pytest.raises(ValueError, match=r"got \[2, 1, 4800\] and \[2, 1, 4799\]"):
        SPECTRAL[name](REFERENCE, ESTIMATE[..., 1:])
    with pytest.raises(ValueError, match="generated holds samples that are NaN"):
        SPECTRAL[name](REFERENCE, ESTIMATE / 0)
    with pytest.raises(ValueError, match="one or more samples"):
        SPECTRAL[name](REFERENCE[..., :0], ESTIMATE[..., :0])


def test_options_that_describe_no_spectrogram():
    pair = REFERENCE, ESTIMATE
    with pytest.raises(ValueError, match="expected 1 <= hop <= n_fft, got hop 0"):
        mel_distance(*pair, sample_rate=RATE, hop=0)
    with pytest.raises(ValueError, match="half of 100 Hz, got 64 from 64"):
        mel_distance(*pair, sample_rate=100)
    with pytest.raises(ValueError, match="one or more frame lengths, got none"):
        multi_scale_mel(*pair, sample_rate=RATE, n_ffts=())
    with pytest.raises(ValueError, match="got hop 4096 and n_fft 2048"):
        log_spectral_distance(*pair, hop=4096)


@pytest.mark.parametrize(
    "make",
    [
        SISDR,
        lambda: MelDistance(sample_rate=RATE),
        lambda: MultiScaleMel(sample_rate=RATE),
        LogSpectralDistance,
    ],
)
def test_streams_are_means_over_items_and_merge(make):
    whole, half, other = (make() for _ in range(3))
    whole.update(REFERENCE, ESTIMATE)
    half.update(REFERENCE[:1], ESTIMATE[:1])
    other.update(REFERENCE[1:], ESTIMATE[1:])
    half.merge_state(other)
    torch.testing.assert_close(half.compute(), whole.compute(), rtol=1e-12, atol=0)
    assert whole.compute().dtype == torch.float64
    assert whole.float().total.dtype == torch.float64


def test_two_processes_give_the_mean_of_all_items():
    """The first has one pair, a silent reference and a copy; the second has one pair."""
    whole, first, second = (SISDR() for _ in range(3))
    whole.update(REFERENCE, ESTIMATE)
    first.update(REFERENCE[:1], ESTIMATE[:1])
    first.update(torch.zeros(1, 1, 9), torch.ones(1, 1, 9))
    first.update(REFERENCE, REFERENCE)
    second.update(REFERENCE[1:], ESTIMATE[1:])
    others = iter(second.metric_state.values())

    def gather(state, group):
        """What torch.distributed hands to the first process, state by state."""
        return [state, next(others)]

    first.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert (int(first.count), int(first.undefined), int(first.perfect)) == (2, 1, 2)
    torch.testing.assert_close(SISDR.compute(first), whole.compute(), rtol=1e-12, atol=0)
