import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from scipy.signal import lfilter

from audiogen.audio import AudioError, write_audio
from audiogen.level import from_int16, loudness, set_level, to_int16, to_loudness

ARRAYS = np.load(Path(__file__).parents[1] / "golden" / "audio.npz")  # golden/make_audio.py
GOLDEN = {name: torch.from_numpy(ARRAYS[name]) for name in ARRAYS.files}
SOUNDS = {name: GOLDEN[name] for name in ("wav", "quiet", "stereo")} | {"loud": 2 * GOLDEN["wav"]}
EXACT = {"rtol": 0, "atol": 1e-6}
RATE = 16000
STRATEGIES = ["peak", "clip", "rms", "loudness", "none"]


def sine(frequency=997.0, rate=48000, seconds=2.0, peak=1.0, channels=1):
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (peak * torch.sin(2 * math.pi * frequency * time)).float().expand(channels, -1)


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("norm_")])
def test_every_level_matches_golden(name):
    _, sound, strategy, *changes = name.split("_")
    changed = set_level(
        SOUNDS[sound],
        RATE,
        strategy=strategy,
        normalize="nonorm" not in changes,
        loudness_compressor="comp" in changes,
        paper_exact=True,
    )
    torch.testing.assert_close(changed[:, 3000:3400], GOLDEN[name], **EXACT)


@pytest.mark.parametrize("sound", SOUNDS)
def test_loudness_matches_golden(sound):
    expected = GOLDEN[f"loudness_db_{sound}"].item()
    assert loudness(SOUNDS[sound], RATE, paper_exact=True) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("sound", ["wav", "quiet", "stereo"])
def test_within_full_scale_the_default_is_the_same(sound):
    expected = GOLDEN[f"loudness_db_{sound}"].item()
    assert loudness(SOUNDS[sound], RATE) == pytest.approx(expected, abs=1e-5)


def test_beyond_full_scale_twice_the_sound_is_6_db_more():
    """The reference cuts off inside of its filters, and hears 0.37 dB less."""
    own = loudness(SOUNDS["wav"], RATE)
    assert loudness(SOUNDS["loud"], RATE) == pytest.approx(own + 20 * math.log10(2), abs=1e-5)
    assert loudness(SOUNDS["loud"], RATE, paper_exact=True) < own + 5.7


@pytest.mark.parametrize("name", [n for n in GOLDEN if n.startswith("audio_write_")])
def test_written_files_match_golden(name, tmp_path):
    _, _, strategy, sound, _ = name.split("_")
    path = tmp_path / "x.wav"
    options = {"loudness_compressor": strategy == "loudness", "paper_exact": True}
    write_audio(path, SOUNDS[sound], RATE, strategy=strategy, **options)
    written, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == RATE
    np.testing.assert_array_equal(written.T, GOLDEN[name].numpy())


def test_int16_matches_golden_and_goes_back_exactly():
    assert torch.equal(to_int16(GOLDEN["i16_in"], paper_exact=True), GOLDEN["i16_out"])
    assert torch.equal(from_int16(GOLDEN["i16_out"]), GOLDEN["f32_out"])
    every = torch.arange(-(2**15), 2**15).to(torch.int16)
    assert torch.equal(to_int16(from_int16(every)), every)


@pytest.mark.parametrize(("rate", "near"), [(16000, 0.08), (32000, 0.05), (48000, 0.05)])
@pytest.mark.parametrize(("channels", "expected"), [(1, -3.01), (2, 0.0), (3, 1.76)])
def test_the_calibration_tone_of_the_standard(rate, near, channels, expected):
    """997 Hz at full scale is -3.01 LUFS in one channel, and powers of channels add up.

    Filters of a low rate stand a little off those of the standard, which are of 48 kHz.
    """
    assert loudness(sine(rate=rate, channels=channels), rate) == pytest.approx(expected, abs=near)


def by_the_standard(waveform):
    """LUFS of [C, T] at 48 kHz, with the coefficients printed in BS.1770-4, tables 1 and 2."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    sound = lfilter(shelf, [1, -1.69065929318241, 0.73248077421585], waveform)
    sound = lfilter([1, -2, 1], [1, -1.99004745483398, 0.99007225036621], sound)
    starts = range(0, sound.shape[1] - 19200 + 1, 4800)
    blocks = np.stack([(sound[:, start : start + 19200] ** 2).mean(axis=1) for start in starts])
    powers = blocks @ np.array([1, 1, 1, 1.41, 1.41])[: len(waveform)]
    heard = powers[-0.691 + 10 * np.log10(powers) > -70]
    heard = heard[heard > heard.mean() / 10]
    return -0.691 + 10 * np.log10(heard.mean())


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_agrees_with_the_printed_standard(channels):
    """Its second filter is 0.043 dB above that of torchaudio, which is 1 at high frequencies."""
    noise = np.random.default_rng(channels).standard_normal((channels, 48000 * 4))
    bursts = 0.05 * noise * (1.01 + np.sign(np.sin(np.arange(48000 * 4) / 15000)))
    expected = by_the_standard(bursts)
    assert loudness(torch.from_numpy(bursts), 48000) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("peak", [0.01, 0.2, 3.0])
def test_agrees_with_torchaudio(rate, channels, peak):
    sound = torch.randn(channels, rate, generator=torch.Generator().manual_seed(rate)) * peak / 3
    expected = torchaudio.functional.loudness(sound, rate).item()
    assert loudness(sound, rate, paper_exact=True) == pytest.approx(expected, abs=1e-4)
    if peak < 1:
        assert loudness(sound, rate) == pytest.approx(expected, abs=1e-4)


def test_surround_channels_weigh_1_5_db_more():
    front, back = torch.zeros(5, 96000), torch.zeros(5, 96000)
    front[0], back[3] = sine()[0], sine()[0]
    gain = loudness(back, 48000) - loudness(front, 48000)
    assert gain == pytest.approx(10 * math.log10(1.41), abs=1e-4)


def test_pauses_do_not_count():
    """2 s of tone are 17 whole blocks; in silence, three more hold 3, 2 and 1 quarters of it."""
    tone = sine(peak=0.1)
    expected = loudness(tone, 48000) + 10 * math.log10((17 + 1.5) / 20)
    both = torch.cat([tone, torch.zeros_like(tone)], dim=1)
    assert loudness(both, 48000) == pytest.approx(expected, abs=0.01)
    soft = torch.cat([tone, 0.02 * tone], dim=1)  # 34 dB below: the relative gate
    assert loudness(soft, 48000) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("samples", [1, 100, 6399, 6400, 6401])
def test_shorter_than_a_block_is_one_block(samples):
    sound = sine(rate=RATE, peak=0.3)[:, 4000 : 4000 + samples]
    found = loudness(sound, RATE)
    assert found == -math.inf or -60 < found < 0
    changed = set_level(sound, RATE, strategy="loudness")
    assert changed.isfinite().all()
    assert changed.abs().max() <= 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("shape", [(1, 8000), (2, 8000), (1, 1), (8000,)])
def test_silence_stays_silence(strategy, shape):
    changed = set_level(torch.zeros(shape), RATE, strategy=strategy)
    assert not changed.any()
    assert changed.ndim == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("peak", [1e-42, 1e-30, 1e-8, 1e-3, 1.0, 50.0, 1e6, 1e21, 1e37])
def test_never_a_nan_whatever_the_level(strategy, peak):
    for channels in (1, 2):
        sound = sine(rate=RATE, seconds=0.6, peak=peak, channels=channels)
        changed = set_level(sound, RATE, strategy=strategy)
        assert changed.isfinite().all()
        assert changed.any()


def test_sound_that_is_not_heard_is_left_alone():
    """5 Hz at 0.1 is far above the floor in RMS and below the gate in loudness."""
    rumble = sine(frequency=1.0, rate=RATE, peak=0.05)
    assert loudness(rumble, RATE) == -math.inf
    assert torch.equal(set_level(rumble, RATE, strategy="loudness"), rumble)
    noise = sine(rate=RATE, peak=2e-3)  # RMS 1.4e-3
    assert torch.equal(set_level(noise, RATE, strategy="loudness"), noise)


def test_each_strategy_reaches_its_goal():
    sound = torch.cat([sine(peak=0.2), sine(frequency=500.0, peak=0.3)])
    peak = set_level(sound, 48000, strategy="peak", peak_clip_headroom_db=3.0)
    assert 20 * math.log10(peak.abs().max()) == pytest.approx(-3, abs=1e-4)
    rms = set_level(sound, 48000, strategy="rms", rms_headroom_db=20.0)
    assert 10 * math.log10(rms.mean(dim=0).square().mean()) == pytest.approx(-20, abs=1e-3)
    loud = set_level(sound, 48000, strategy="loudness", loudness_headroom_db=23.0)
    assert loudness(loud, 48000) == pytest.approx(-23, abs=1e-3)
    clipped = set_level(9 * sound, 48000, strategy="clip")
    assert clipped.abs().max().item() == pytest.approx(10 ** (-1 / 20))


def test_channels_that_cancel_out_are_measured_apart():
    tone = sine(rate=RATE, peak=0.1)
    changed = set_level(torch.cat([tone, -tone]), RATE, strategy="rms")
    assert 10 * math.log10(changed.square().mean()) == pytest.approx(-18, abs=1e-3)


def test_the_compressor_bends_instead_of_cutting():
    noise = 0.3 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    bent = set_level(noise, RATE, strategy="loudness", loudness_compressor=True)
    assert loudness(bent, RATE) == pytest.approx(-14.18, abs=0.05)
    cut = set_level(6 * sine(rate=RATE), RATE, strategy="loudness", loudness_headroom_db=-6.0)
    assert (cut.abs() == 1).sum() > 1000


@pytest.mark.parametrize(
    ("waveform", "rate", "strategy", "message"),
    [
        (torch.zeros(1, 8), RATE, "lufs", "one of peak, clip, rms, loudness, none, got 'lufs'"),
        (torch.zeros(1, 0), RATE, "peak", r"expected float samples .* got torch.float32 \[1, 0\]"),
        (torch.zeros(1, 1, 8), RATE, "peak", r"\[1, 1, 8\]"),
        (torch.zeros(8, dtype=torch.int16), RATE, "peak", "got torch.int16"),
        (torch.tensor([0.0, math.nan]), RATE, "clip", "1 of 2 samples are NaN or infinite"),
        (torch.ones(6, 8), RATE, "loudness", "up to 5 channels, got 6: mix down first"),
        (torch.ones(1, 8), 2000, "loudness", "3000 Hz or more, got 2000"),
    ],
)
def test_refusals(waveform, rate, strategy, message):
    with pytest.raises(ValueError, match=message):
        set_level(waveform, rate, strategy=strategy)


def test_the_writer_names_the_file(tmp_path):
    with pytest.raises(AudioError, match=r"x\.wav: loudness knows up to 5 channels"):
        write_audio(tmp_path / "x.wav", torch.ones(6, 8000), RATE, strategy="loudness")
    with pytest.raises(AudioError, match=r"x\.wav: 1 of 1 samples are NaN"):
        write_audio(tmp_path / "x.wav", torch.tensor([math.nan]), RATE, strategy="peak")
    assert not list(tmp_path.iterdir())


def test_by_default_the_writer_changes_nothing(tmp_path):
    write_audio(tmp_path / "x.wav", SOUNDS["wav"], RATE)
    written, _ = soundfile.read(tmp_path / "x.wav", dtype="int16", always_2d=True)
    np.testing.assert_array_equal(written.T, to_int16(SOUNDS["wav"]).numpy())


def test_a_keyword_that_is_not_there_is_not_swallowed(tmp_path):
    with pytest.raises(TypeError, match="unknown option 'level': the way is chosen by strategy"):
        write_audio(tmp_path / "a.wav", torch.zeros(1, 800), 16000, level="loudness")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", [-30.0, -23.0, -14.0, -9.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_target_of_loudness_is_met(target, channels):
    """Measured again, also where peaks have to be bent: noise peaks 13 dB above its RMS."""
    noise = torch.randn(channels, 32000, generator=torch.Generator().manual_seed(3)) * 0.02
    turned = to_loudness(noise, 16000, target)
    assert loudness(turned, 16000) == pytest.approx(target, abs=0.1)
    assert turned.abs().max() <= 1
    if target == -30:  # nothing had to be bent: it is the same sound
        ratio = turned / noise
        torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))


def test_a_target_of_loudness_and_what_cannot_meet_it():
    silence = torch.zeros(1, 16000)
    assert torch.equal(to_loudness(silence, 16000, -14), silence)
    click = torch.zeros(1, 160000)
    click[0, 80000] = 0.5
    turned = to_loudness(click, 16000, -14)
    assert 0.9 < turned.abs().max() <= 1
    assert turned.isfinite().all()
    for target in (1.0, -71.0, float("nan")):
        with pytest.raises(ValueError, match="must be -70 to 0 LUFS"):
            to_loudness(silence, 16000, target)
