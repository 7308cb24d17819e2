import math

import numpy as np
import pytest
import soundfile
import torch

from evaluation.audio import AudioError
from evaluation.folders import Pair
from evaluation.preparation.pair import MonoSound, load_sides, make_item
from evaluation.protocols.card import load_protocol

RATE = 16000


def tone(frequency, rate, *, seconds=1.0, amplitude=0.5):
    times = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    waveform = amplitude * torch.sin(2 * math.pi * frequency * times)
    return MonoSound(waveform=waveform.float(), sample_rate=rate, resampler="sinc_kaiser64")


def load_item(pair, card):
    """Take both steps from files to what metrics on waveforms get."""
    return make_item(load_sides(pair, card), card)


def write_pair(folder, reference, generated, *, rate=RATE, generated_rate=None):
    for name, samples, hz in (("r", reference, rate), ("g", generated, generated_rate or rate)):
        soundfile.write(folder / f"{name}.wav", np.asarray(samples), hz, subtype="FLOAT")
    return Pair(name="x", reference=folder / "r.wav", generated=folder / "g.wav")


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (16000, 32000), (48000, 16000)])
def test_resampling_a_tone_gives_the_same_tone(source, target):
    resampled = tone(997, source).at(target)
    expected = tone(997, target).waveform
    inner = slice(target // 20, -target // 20)
    torch.testing.assert_close(resampled[inner], expected[inner], rtol=0, atol=2e-4)


def test_a_longer_prediction_is_cut_in_seconds_not_samples(tmp_path):
    pair = write_pair(tmp_path, np.full(16000, 0.1), np.full(96000, 0.1), generated_rate=48000)
    item = load_item(pair, load_protocol("demo"))
    assert item.generated.duration == item.reference.duration == 1.0
    assert len(item.generated.waveform) == 48000
    assert item.cut == 1.0
    kept = load_item(pair, load_protocol("demo").changed("length", "keep"))
    assert (kept.generated.duration, kept.cut) == (2.0, 0.0)


def test_steps_of_the_generated_side_leave_the_reference_and_the_sound_as_it_is(tmp_path):
    quiet = tone(997, RATE, amplitude=0.01).waveform.numpy()
    item = load_item(write_pair(tmp_path, quiet, quiet), load_protocol("audiocraft"))
    torch.testing.assert_close(item.reference.waveform, torch.from_numpy(quiet))
    torch.testing.assert_close(item.generated_as_is.waveform, torch.from_numpy(quiet))
    peak = float(item.generated.waveform.abs().max())
    assert 20 * math.log10(peak) == pytest.approx(-14 + 3.01, abs=0.1)  # at 16 kHz


def test_the_level_is_set_before_the_end_is_cut_off(tmp_path):
    """As AudioCraft does: its loudness is that of the whole file it writes."""
    wave = tone(997, RATE, seconds=2.0, amplitude=0.01).waveform.numpy()
    wave[RATE:] *= 10
    pair = write_pair(tmp_path, wave[:RATE], wave)
    whole = load_item(pair, load_protocol("audiocraft")).generated.waveform
    pair = write_pair(tmp_path, wave[:RATE], wave[:RATE])
    alone = load_item(pair, load_protocol("audiocraft")).generated.waveform
    assert whole.abs().max() < 0.2 * alone.abs().max()


def test_all_channels_reach_the_networks(tmp_path):
    """What mixes them down is the steps of each network, not the reader."""
    stereo = np.stack([np.full(RATE, 0.25), np.full(RATE, 0.5)], axis=1)
    pair = write_pair(tmp_path, stereo, stereo)
    sides = load_sides(pair, load_protocol("demo"))
    assert sides.reference.waveform.shape == sides.generated.waveform.shape == (2, RATE)
    assert load_item(pair, load_protocol("demo")).reference.waveform[0] == 0.375
    first = load_protocol("demo").changed("input.0.mono", "first")
    assert load_item(pair, first).reference.waveform[0] == 0.25


def test_silence_is_what_the_mono_rule_leaves_of_it(tmp_path):
    sides = np.stack([np.full(RATE, 0.25), np.full(RATE, -0.25)], axis=1)
    pair = write_pair(tmp_path, sides, sides)
    refusing = load_protocol("demo").changed("silence", "refuse")
    with pytest.raises(AudioError, match=r"r\.wav: its 2 channels cancel"):
        load_item(pair, refusing)
    assert load_item(pair, refusing.changed("input.0.mono", "first")).cut == 0


def test_rates_whose_filters_would_not_fit_into_memory():
    assert len(tone(997, 44100).at(16000)) == 16000
    with pytest.raises(AudioError, match=r"47999 Hz cannot be brought to 16000 Hz: .* only 1 in"):
        tone(997, 47999).at(16000)


def test_a_step_that_cannot_be_done_names_the_file(tmp_path):
    many = np.full((RATE, 6), 0.1)
    card = load_protocol("demo").changed("generated", [{"loudness": {"target": -14, "floor": 0}}])
    with pytest.raises(AudioError, match=r"g\.wav: step loudness: .* Put `mono` before"):
        load_item(write_pair(tmp_path, many, many), card)
