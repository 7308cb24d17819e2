import math

import numpy as np
import pytest
import soundfile
import torch

from evaluation.audio import AudioError
from evaluation.folders import Pair
from evaluation.prepare import Sound, load_item, set_loudness
from evaluation.protocol import load_protocol


def tone(frequency, rate, *, seconds=1.0, amplitude=0.5):
    times = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    waveform = amplitude * torch.sin(2 * math.pi * frequency * times)
    return Sound(waveform=waveform.float(), sample_rate=rate, resampler="sinc_kaiser64")


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (16000, 32000), (48000, 16000)])
def test_resampling_a_tone_gives_the_same_tone(source, target):
    resampled = tone(997, source).at(target)
    expected = tone(997, target).waveform
    inner = slice(target // 20, -target // 20)
    torch.testing.assert_close(resampled[inner], expected[inner], rtol=0, atol=2e-4)


def test_what_is_above_the_new_nyquist_is_gone():
    """Taking every third sample would fold 11 kHz to 5 kHz at full level."""
    resampled = tone(11000, 48000).at(16000)
    assert resampled[800:-800].abs().max() < 1e-3


def test_loudness_of_a_1_khz_sine_is_its_level():
    """ITU-R BS.1770-4: a 997 Hz sine of 0 dBFS in one channel reads -3.01 LUFS."""
    quiet = tone(997, 48000, amplitude=0.01)
    leveled = set_loudness(quiet, -14.0, floor=0.0)
    peak = float(leveled.waveform.abs().max())
    assert 20 * math.log10(peak) == pytest.approx(-14 + 3.01, abs=0.05)


def test_loudness_rule_clips_and_leaves_the_quiet_and_the_short_alone():
    noise = Sound(
        waveform=torch.cat([torch.zeros(15900), torch.ones(100)]),
        sample_rate=16000,
        resampler="sinc_kaiser64",
    )
    assert set_loudness(noise, 20.0, floor=0.0).waveform.abs().max() == 1.0
    quiet = tone(997, 16000, amplitude=1e-3)
    assert set_loudness(quiet, -14.0, floor=2e-3) is quiet
    short = tone(997, 16000, seconds=0.3)
    assert set_loudness(short, -14.0, floor=0.0) is short
    assert set_loudness(quiet, None, floor=0.0) is quiet


def test_a_longer_prediction_is_cut_in_seconds_not_samples(tmp_path):
    soundfile.write(tmp_path / "r.wav", np.full(16000, 0.1), 16000)
    soundfile.write(tmp_path / "g.wav", np.full(96000, 0.1), 48000)
    pair = Pair(name="x", reference=tmp_path / "r.wav", generated=tmp_path / "g.wav")
    item = load_item(pair, load_protocol("demo"))
    assert item.generated.duration == item.reference.duration == 1.0
    assert len(item.generated.waveform) == 48000


def test_rates_whose_filters_would_not_fit_into_memory():
    assert len(tone(997, 44100).at(16000)) == 16000
    with pytest.raises(AudioError, match=r"47999 Hz cannot be brought to 16000 Hz: .* only 1 in"):
        tone(997, 47999).at(16000)
