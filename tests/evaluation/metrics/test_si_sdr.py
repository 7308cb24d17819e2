import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics.si_sdr import SISDR, si_sdr, si_snr_audiocraft, si_snr_segments

TESTS = Path(__file__).parents[2]
GOLDEN = np.load(TESTS / "golden" / "codec.npz")  # losses/*: what AudioCraft returned
OUTSIDE = TESTS.parents[1] / "shared" / "fixtures" / "metrics" / "codec_metrics.npz"
REFERENCE = torch.from_numpy(GOLDEN["losses/y"])  # [2, 1, 4800], 16 kHz
ESTIMATE = torch.from_numpy(GOLDEN["losses/y_pred"])


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def orthogonal_noise(reference, *, snr):
    """Noise without mean at a right angle to a reference without mean, at an SNR in dB."""
    other = noise(*reference.shape, seed=99)
    other = other - other.mean(dim=-1, keepdim=True)
    along = (other * reference).sum(-1, keepdim=True) / reference.square().sum(-1, keepdim=True)
    other = other - along * reference
    gain = reference.norm(dim=-1, keepdim=True) / other.norm(dim=-1, keepdim=True)
    return gain * other * 10 ** (-snr / 20)


def centered(*shape, seed=0):
    waveform = noise(*shape, seed=seed)
    return waveform - waveform.mean(dim=-1, keepdim=True)


def by_numpy(reference, generated):
    """The definition, item by item: the part along the reference by least squares."""
    values = []
    for r, g in zip(reference, generated, strict=True):
        r, g = r - r.mean(), g - g.mean()
        gain = np.linalg.lstsq(r[:, None], g, rcond=None)[0][0]
        values.append(20 * math.log10(np.linalg.norm(gain * r) / np.linalg.norm(g - gain * r)))
    return values


@pytest.mark.parametrize("snr", [-30.0, 0.0, 20.0, 120.0])
def test_noise_at_a_right_angle_gives_its_ratio(snr):
    reference = centered(3, 4000)
    values = si_sdr(reference, 0.3 * (reference + orthogonal_noise(reference, snr=snr)))
    torch.testing.assert_close(values, torch.full((3,), snr).double(), rtol=0, atol=1e-6)


def test_the_definition_by_least_squares():
    arrays = [x[:, 0].double().numpy() for x in (REFERENCE, ESTIMATE)]
    np.testing.assert_allclose(si_sdr(REFERENCE, ESTIMATE), by_numpy(*arrays), rtol=1e-10)


@pytest.mark.skipif(not OUTSIDE.is_file(), reason="shared fixtures are not here")
def test_values_of_the_reference_system_on_whole_clips():
    arrays = np.load(OUTSIDE)
    pair = [torch.from_numpy(arrays[key]) for key in ("ref", "est")]
    np.testing.assert_allclose(si_sdr(*pair), arrays["sisdr_full"], rtol=1e-9)
    for segment, key in ((5.0, "sisnr_seg5"), (20.0, "sisnr_seg20_short")):
        value = si_snr_audiocraft(*pair, sample_rate=16000, segment=segment)
        assert float(value) == pytest.approx(float(arrays[key]), rel=1e-5)


@pytest.mark.parametrize(("segment", "key"), [(5.0, ""), (0.1, "_seg0.1"), (0.2, "_seg0.2")])
def test_audiocraft_values_with_their_sign(segment, key):
    value = si_snr_audiocraft(REFERENCE, ESTIMATE, sample_rate=16000, segment=segment)
    assert float(value) == pytest.approx(float(GOLDEN[f"losses/sisnr{key}"]), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    gain=st.floats(1e-4, 1e4),
    sign=st.sampled_from([-1, 1]),
    offset=st.floats(-3, 3),
    seed=st.integers(0, 2**31),
    length=st.integers(3, 200),
)
def test_gain_polarity_and_offset_change_nothing(gain, sign, offset, seed, length):
    reference, generated = noise(2, length, seed=seed), noise(2, length, seed=seed + 1)
    expected = si_sdr(reference, generated)
    moved = si_sdr(reference / gain, sign * gain * generated + offset * gain)
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-6)


def test_an_offset_counts_where_the_mean_stays():
    reference = centered(1, 4000)
    assert float(si_sdr(reference, reference + 1, zero_mean=True)) == math.inf
    energy = float(reference.square().sum())
    expected = 10 * math.log10(energy / 4000)
    value = float(si_sdr(reference, reference + 1, zero_mean=False))
    assert value == pytest.approx(expected, abs=1e-9)


def test_perfect_silent_and_undefined():
    sound, silence = noise(1, 500), torch.zeros(1, 500)
    assert float(si_sdr(sound, sound)) == math.inf
    assert float(si_sdr(sound, -0.3 * sound)) == math.inf
    assert float(si_sdr(sound, silence)) == -math.inf
    assert float(si_sdr(centered(1, 500), orthogonal_noise(centered(1, 500), snr=0))) == -math.inf
    for generated in (sound, silence):
        assert math.isnan(float(si_sdr(silence, generated)))
        assert math.isnan(float(si_sdr(silence + 0.1, generated)))


def test_a_long_sound_with_a_quiet_step_is_not_taken_for_constant():
    reference = torch.full((1, 10**6), 0.5)
    reference[0, 7] = 0.5 + 2**-24
    assert float(si_sdr(reference, reference)) == math.inf


def test_channels_are_one_sound():
    stereo, other = noise(2, 2, 300), noise(2, 2, 300, seed=1)
    joined = [(x - x.mean(dim=-1, keepdim=True)).flatten(1) for x in (stereo, stereo + 0.1 * other)]
    expected = si_sdr(*joined, zero_mean=False)
    torch.testing.assert_close(si_sdr(stereo, stereo + 0.1 * other), expected)
    one_silent = stereo.clone()
    one_silent[:, 1] = 0
    assert si_sdr(one_silent, one_silent + 0.1 * other).isfinite().all()


def test_first_segment_is_the_first_of_all():
    values = si_snr_segments(REFERENCE, ESTIMATE, sample_rate=16000, segment=0.1)
    assert values.shape == (2, 6)
    start = [waveform[..., :1600] for waveform in (REFERENCE, ESTIMATE)]
    alone = si_snr_segments(*start, sample_rate=16000, segment=0.1)[:, 0]
    torch.testing.assert_close(values[:, 0], alone)
    first = si_snr_audiocraft(REFERENCE, ESTIMATE, sample_rate=16000, segment=0.1, segments="first")
    assert float(first) == pytest.approx(-float(alone.mean()))


def test_segments_by_hand():
    """Nine samples in segments of four, two apart: the last holds one sample and zeros."""
    reference, generated = noise(1, 9), noise(1, 9, seed=1)
    values = si_snr_segments(reference, generated, sample_rate=4, segment=1.0, overlap=0.5)
    padded = [np.pad(x[0].numpy(), (0, 3)) for x in (reference, generated)]
    epsilon = 4 * float(np.finfo(np.float32).eps)
    for index, start in enumerate(range(0, 10, 2)):
        r, g = (x[start : start + 4] - x[start : start + 4].mean() for x in padded)
        target = r * (r @ g) / (r @ r + epsilon)
        ratio = (target @ target + epsilon) / ((g - target) @ (g - target) + epsilon)
        assert float(values[0, index]) == pytest.approx(10 * math.log10(ratio), abs=1e-9)
    assert values.shape == (1, 5)


@pytest.mark.parametrize("function", [si_sdr, lambda r, g: si_snr_segments(r, g, sample_rate=10)])
@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        (torch.ones(2, 5), torch.ones(2, 6), r"of one shape, got \[2, 5\] and \[2, 6\]"),
        (torch.ones(5), torch.ones(5), "add a batch dimension"),
        (torch.ones(2, 0), torch.ones(2, 0), "one or more samples"),
        (torch.ones(0, 5), torch.ones(0, 5), "one or more samples"),
        (torch.full((1, 5), math.nan), torch.ones(1, 5), "reference holds samples that are NaN"),
        (torch.ones(1, 5), torch.full((1, 5), math.inf), "generated holds samples that are NaN"),
    ],
)
def test_what_is_no_pair_is_refused(function, reference, generated, message):
    with pytest.raises(ValueError, match=message):
        function(reference, generated)


def test_options_that_cannot_work():
    with pytest.raises(ValueError, match="segments must be all or first, got 'last'"):
        si_snr_audiocraft(REFERENCE, ESTIMATE, sample_rate=16000, segments="last")
    for segment, overlap in ((0.0, 0.5), (1e-9, 0.5), (1.0, 1.0), (1.0, -0.1), (-1.0, 0.5)):
        with pytest.raises(ValueError, match="expected a segment of one or more samples"):
            si_snr_segments(
                REFERENCE, ESTIMATE, sample_rate=16000, segment=segment, overlap=overlap
            )


def test_metric_counts_what_has_no_place_in_a_mean():
    sound, silence = noise(1, 500), torch.zeros(1, 500)
    metric = SISDR()
    metric.update(sound, sound)  # perfect
    metric.update(silence, sound)  # undefined
    metric.update(REFERENCE, ESTIMATE)
    torch.testing.assert_close(metric.compute(), si_sdr(REFERENCE, ESTIMATE).mean())
    assert (int(metric.perfect), int(metric.undefined), int(metric.count)) == (1, 1, 2)


def test_a_silent_output_cannot_hide_in_the_mean():
    metric = SISDR()
    metric.update(REFERENCE, ESTIMATE)
    metric.update(REFERENCE, 0 * ESTIMATE)
    assert float(metric.compute()) == -math.inf


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_metric_of_perfect_or_undefined_items_alone():
    perfect, undefined = SISDR(), SISDR()
    perfect.update(REFERENCE, REFERENCE)
    undefined.update(0 * REFERENCE, REFERENCE)
    assert float(perfect.compute()) == math.inf
    assert math.isnan(float(undefined.compute()))
    with pytest.raises(ValueError, match="one or more pairs, got none"):
        SISDR().compute()
