"""Steps of channels, rate and length, and the reader of audioldm_eval before June 2023."""

import pytest
import torch

from evaluation.preparation.steps import StepError
from evaluation.protocols.card import load_protocol

from .step_sounds import RATE, noise, run, sound, tone


def test_mono():
    stereo = sound([[0.5, 0.5], [0.1, -0.5]])
    torch.testing.assert_close(run(stereo, {"mono": "mean"}).mono(), torch.tensor([0.3, 0.0]))
    torch.testing.assert_close(run(stereo, {"mono": "first"}).mono(), torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="got 2: the protocol's steps lack `mono: mean`"):
        stereo.mono()
    joined = run(stereo, {"mono": "joined"}).mono()
    torch.testing.assert_close(joined, torch.tensor([0.5, 0.5, 0.1, -0.5]))
    single = noise()
    for how in ("mean", "first", "joined"):
        assert run(single, {"mono": how}) is single


def test_stereo():
    doubled = run(noise(), "stereo").waveform
    assert torch.equal(doubled[0], doubled[1])
    both = noise(channels=2)
    assert run(both, "stereo") is both
    with pytest.raises(StepError, match="step stereo: expected one or two channels, got 3"):
        run(noise(channels=3), "stereo")


def test_a_network_gets_the_channels_it_takes():
    single, both = noise(), noise(channels=2)
    assert torch.equal(single.of_channels(1), single.waveform[0])
    assert both.of_channels(2) is both.waveform
    with pytest.raises(ValueError, match=r"sound of 2 channels, got 1: .* lack `stereo`"):
        single.of_channels(2)
    with pytest.raises(ValueError, match="lack `mono: mean`"):
        both.of_channels(1)


def test_mixing_and_resampling_can_change_places_but_not_a_level_rule():
    stereo = noise(channels=2, rate=48000)
    mono, rate = {"mono": "mean"}, {"resample": {"rate": 16000, "method": "sinc_hann6"}}
    torch.testing.assert_close(
        run(stereo, mono, rate).waveform, run(stereo, rate, mono).waveform, rtol=0, atol=1e-6
    )
    level = {"peak": -1.0}
    before, after = run(stereo, level, mono), run(stereo, mono, level)
    assert before.waveform.abs().max() < 0.95 * after.waveform.abs().max()


def test_lengths():
    given = noise(seconds=1.5)
    padded = run(given, {"at_least": 2.0})
    assert padded.duration == 2.0
    assert torch.equal(padded.waveform[:, : RATE * 3 // 2], given.waveform)
    assert not padded.waveform[:, RATE * 3 // 2 :].any()
    assert run(given, {"at_least": 1.0}) is given
    assert torch.equal(run(given, {"exactly": 1.0}).waveform, given.waveform[:, :RATE])
    assert torch.equal(run(given, {"exactly": 2.0}).waveform, padded.waveform)
    assert run(given, {"exactly": 1.5}) is given
    assert torch.equal(run(given, {"at_most": 1.0}).waveform, given.waveform[:, :RATE])
    assert run(given, {"at_most": 1.5}) is run(given, {"at_most": 2.0}) is given


READER = {
    "resample": {
        "rate": 16000,
        "method": "sinc_hann6",
        "decimate_from": [48000],
        "double_speed_from": [32000],
    }
}


def test_version_1_plays_32_khz_at_double_speed():
    """A tone comes out an octave higher, and the sound lasts half as long."""
    made = run(sound(tone(1000, 32000, seconds=2.0), 32000), READER)
    assert (made.sample_rate, made.duration) == (16000, 1.0)
    spectrum = torch.fft.rfft(made.waveform[0]).abs()
    assert int(spectrum.argmax()) == 2000


def test_version_1_leaves_out_two_of_three_samples_at_48_khz_and_16_khz_alone():
    fast = noise(rate=48000)
    assert torch.equal(run(fast, READER).waveform, fast.waveform[:, ::3])
    slow = noise()
    assert run(slow, READER) is slow
    assert run(noise(rate=44100), READER).duration == 1.0


def test_version_1_reads_32_khz_for_vggish_without_a_filter():
    steps = load_protocol("audioldm_eval_v1").input_steps("vggish")
    given = run(noise(rate=32000), "pcm16")
    assert torch.equal(steps(given).waveform, given.waveform[:, ::2])


def test_a_mean_in_blocks_is_that_of_the_whole(monkeypatch):
    samples = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("evaluation.preparation.steps_rate.BLOCK", 64)
    mixed = run(sound(samples.tolist()), {"mono": "mean"}).waveform
    assert mixed.equal(samples.double().mean(dim=0, keepdim=True).float())
