"""Reading and writing; every file is made here. Checking is in test_sndfile.py."""

import math
from pathlib import Path

import pytest
import soundfile
import torch

from audiogen.audio import (
    AudioError,
    audio_info,
    audio_writer,
    check_audio,
    read_audio,
    resample,
    write_audio,
)

LOSSLESS = ["wav", "flac", "aiff", "aif", "w64"]
LOSSY = {"ogg": 0.05, "opus": 0.2, "mp3": 0.05}  # largest error of a smooth sound


def chirp(seconds=1.0, rate=48000, channels=1, peak=0.5):
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    sound = torch.stack(
        [torch.sin(2 * math.pi * (200 + 150 * c) * time * (1 + time)) for c in range(channels)]
    )
    return (peak * sound).float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1.5 s of stereo in each format, and "rough.mp3", whose frames borrow bits; 48 kHz."""
    folder = tmp_path_factory.mktemp("audio")
    for suffix in [*LOSSLESS, *LOSSY]:
        write_audio(folder / f"x.{suffix}", chirp(1.5, channels=2), 48000)
    time = torch.arange(48000 * 4) / 48000
    bursts = torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    bursts *= 0.05 * torch.sin(2 * math.pi * 3 * time).clamp(min=0) ** 8
    settings = {"bitrate_mode": "VARIABLE", "compression_level": 0.9}
    soundfile.write(folder / "rough.mp3", bursts.numpy(), 48000, **settings)
    return folder


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_was_read_is_written_back_bit_for_bit(folder, tmp_path, suffix):
    waveform, rate = read_audio(folder / f"x.{suffix}")
    write_audio(tmp_path / f"y.{suffix}", waveform, rate)
    again, _ = read_audio(tmp_path / f"y.{suffix}")
    assert rate == 48000
    torch.testing.assert_close(again, waveform, rtol=0, atol=0)
    torch.testing.assert_close(waveform, chirp(1.5, channels=2), rtol=0, atol=2**-16 + 1e-7)


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_come_close(folder, suffix):
    waveform, rate = read_audio(folder / f"x.{suffix}")
    reference = chirp(1.5, channels=2)
    assert rate == 48000
    assert abs(waveform.shape[1] - reference.shape[1]) < 2400
    inside = slice(4800, 48000)
    assert (waveform[:, inside] - reference[:, inside]).abs().max() < LOSSY[suffix]


def test_info_is_that_of_the_header(folder):
    info = audio_info(folder / "x.flac")
    assert (info.sample_rate, info.channels, info.frames, info.duration) == (48000, 2, 72000, 1.5)


@pytest.mark.parametrize("suffix", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("rate", [None, 16000, 44100])
def test_a_part_is_that_part_of_the_whole(folder, suffix, rate):
    path = folder / f"x.{suffix}"
    whole, out_rate = read_audio(path, sample_rate=rate)
    for start, duration in [(0.0, 0.5), (0.123, 0.1), (0.7, 0.3337), (1.2, None)]:
        part, _ = read_audio(path, start=start, duration=duration, sample_rate=rate)
        first = round(start * out_rate)
        last = whole.shape[1] if duration is None else first + round(duration * out_rate)
        torch.testing.assert_close(part, whole[:, first:last], rtol=0, atol=1e-5)


def test_mp3_is_exact_behind_a_seek(folder):
    """Read from any frame on, and alike: an mp3 frame needs those before it."""
    whole, _ = read_audio(folder / "rough.mp3")
    for start in torch.linspace(0.1, 3.5, 40).tolist():
        part, rate = read_audio(folder / "rough.mp3", start=start, duration=0.05)
        first = round(start * rate)
        torch.testing.assert_close(part, whole[:, first : first + 2400], rtol=0, atol=1e-5)


def test_reads_no_more_than_it_needs(folder, monkeypatch):
    read, frames = soundfile.SoundFile.read, []

    def counted(self, count, **options):
        frames.append(count)
        return read(self, count, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    read_audio(folder / "x.flac", start=0.5, duration=0.1, sample_rate=16000)
    assert sum(frames) < 4800 + 200


@pytest.mark.parametrize(
    ("frames", "rate", "target", "expected"),
    [
        (44100, 44100, 16000, 16000),
        (1, 44100, 16000, 1),
        (100, 16000, 44100, 276),
        (12345, 48000, 16000, 4115),
    ],
)
def test_length_is_the_ceiling(frames, rate, target, expected):
    assert resample(torch.zeros(2, frames), rate, target).shape == (2, expected)
    assert expected == math.ceil(frames * target / rate)


def test_a_span_over_the_end_is_short(folder):
    waveform, _ = read_audio(folder / "x.wav", start=1.25, duration=10.0, sample_rate=16000)
    assert waveform.shape == (2, 4000)


def test_channels(folder):
    stereo, _ = read_audio(folder / "x.wav")
    mono, _ = read_audio(folder / "x.wav", channels=1)
    torch.testing.assert_close(mono, stereo.mean(dim=0, keepdim=True))
    with pytest.raises(AudioError, match="has 2 channels, cannot give 3"):
        read_audio(folder / "x.wav", channels=3)


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"start": 1.5}, "the file is 1.500 s long"),
        ({"start": -0.1}, "start must be 0 or more"),
        ({"start": math.nan}, "start must be 0 or more"),
        ({"duration": 0.0}, "duration must be more than 0"),
        ({"duration": 1e-6}, "nothing to read"),
    ],
)
def test_refuses_spans_with_nothing_in_them(folder, span, message):
    with pytest.raises(AudioError, match=message):
        read_audio(folder / "x.wav", **span)


@pytest.mark.parametrize(
    "name",
    [
        "-x.wav",
        " leading.wav",
        "café.WAV",
        "cafe\u0301 #1 50%.wav",
        "a\udc85b.wav",
        "q\"'.wav",
        "n" * 251 + ".wav",
    ],
)
def test_odd_names(tmp_path, name):
    path = tmp_path / name
    write_audio(path, chirp(0.1), 48000)
    assert check_audio(path).info.frames == 4800
    assert read_audio(str(path))[0].shape == (1, 4800)


def test_mixing_after_or_before_resampling_is_the_same(folder):
    mono, _ = read_audio(folder / "x.wav", channels=1, sample_rate=16000)
    stereo, _ = read_audio(folder / "x.wav", sample_rate=16000)
    torch.testing.assert_close(mono, stereo.mean(dim=0, keepdim=True), rtol=0, atol=1e-6)


# Writing


def test_clipping_is_a_decision(tmp_path):
    loud, path = torch.tensor([[0.5, -2.0, 1.0]]), tmp_path / "x.wav"
    with pytest.raises(AudioError, match=r"peak 2\.000 is beyond full scale"):
        write_audio(path, loud, 16000)
    assert not path.exists()
    write_audio(path, loud, 16000, clipping="clamp")
    torch.testing.assert_close(
        read_audio(path)[0], torch.tensor([[0.5, -1.0, 1.0]]), rtol=0, atol=2**-15
    )
    write_audio(path, loud, 16000, clipping="rescale")
    torch.testing.assert_close(read_audio(path)[0], loud / 2, rtol=0, atol=2**-15)
    write_audio(path, loud, 16000, subtype="FLOAT")
    torch.testing.assert_close(read_audio(path)[0], loud, rtol=0, atol=0)
    with pytest.raises(AudioError, match='"error", "clamp" or "rescale"'):
        write_audio(path, loud, 16000, clipping="wrap")


@pytest.mark.parametrize("clipping", ["error", "clamp", "rescale"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_is_never_written(tmp_path, clipping, value):
    path = tmp_path / "x.wav"
    write_audio(path, torch.zeros(1, 4), 16000)
    old = path.read_bytes()
    with pytest.raises(AudioError, match="NaN or infinite"):
        write_audio(path, torch.tensor([0.0, value]), 16000, clipping=clipping)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize(
    ("name", "shape", "rate", "message"),
    [
        ("x.txt", (1, 4), 16000, "unknown suffix"),
        ("x.wav", (1, 0), 16000, r"expected samples \[C, T\] or \[T\], got \[1, 0\]"),
        ("x.wav", (1, 1, 4), 16000, "expected samples"),
        ("x.opus", (1, 4), 44100, "cannot be written as OPUS at 44100 Hz"),
        ("x.wav", (1, 4), 0, "cannot be written"),
    ],
)
def test_refuses_what_it_cannot_write(tmp_path, name, shape, rate, message):
    with pytest.raises(AudioError, match=message):
        write_audio(tmp_path / name, torch.zeros(shape), rate)
    assert list(tmp_path.iterdir()) == []


def test_a_minute_of_ogg(tmp_path):
    """In one call to libsndfile this crashes the process."""
    write_audio(tmp_path / "x.ogg", torch.zeros(1, 60 * 44100), 44100)
    assert audio_info(tmp_path / "x.ogg").frames == 60 * 44100


def test_a_writer_in_parts_gives_the_same_file(tmp_path):
    sound = chirp(0.5, channels=2)
    write_audio(tmp_path / "whole.flac", sound, 48000)
    with audio_writer(tmp_path / "parts.flac", 48000, 2) as write:
        for part in sound.split(7000, dim=1):
            write(part)
        assert not (tmp_path / "parts.flac").exists()
    assert (tmp_path / "parts.flac").read_bytes() == (tmp_path / "whole.flac").read_bytes()


@pytest.mark.parametrize("method", ["write", "close"])
def test_a_full_disk_is_no_fault_of_the_sound(tmp_path, monkeypatch, method):
    def full(self, *arguments):
        raise soundfile.LibsndfileError(2)

    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, method, full)
        with pytest.raises(OSError, match=r"cannot be written .*is the disk full") as caught:
            write_audio(tmp_path / "x.wav", torch.zeros(1, 4), 16000)
    assert not isinstance(caught.value, ValueError)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_no_fault_of_the_sound(tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError):
        write_audio(tmp_path / "x.wav", torch.zeros(1, 4), 16000)
