"""What is wrong with a file, told in one line."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiogen.audio import AudioError, audio_info, check_audio, read_audio, write_audio

FORMATS = Path(__file__).parents[3] / "shared" / "data" / "formats"


def chirp(seconds=1.0):
    time = torch.arange(round(seconds * 16000)) / 16000
    return 0.5 * torch.sin(2 * math.pi * 200 * time * (1 + time))


def test_levels(tmp_path):
    left = chirp(0.5)
    write_audio(tmp_path / "x.wav", torch.stack([left, -left]), 16000)
    levels = check_audio(tmp_path / "x.wav")
    assert levels.peak == pytest.approx(0.5, abs=1e-3)
    assert levels.channel_rms == pytest.approx([0.5 / math.sqrt(2)] * 2, rel=0.02)
    assert levels.mono_rms < 1e-4


def cut(path, sound):
    write_audio(path, sound, 16000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


def zero_channels(path, sound):
    write_audio(path, sound, 16000)
    data = bytearray(path.read_bytes())
    data[22:24] = struct.pack("<H", 0)
    path.write_bytes(data)


SPOIL = {
    "missing": lambda path, sound: None,
    "folder": lambda path, sound: path.mkdir(),
    "empty": lambda path, sound: path.write_bytes(b""),
    "page": lambda path, sound: path.write_text("<!DOCTYPE html><html>404</html>"),
    "no samples": lambda path, sound: soundfile.write(path, np.zeros((0, 1)), 16000),
    "silent": lambda path, sound: write_audio(path, sound / 10000, 16000),
    "nan": lambda path, sound: soundfile.write(path, [0.0, np.nan, 0.5], 16000, subtype="FLOAT"),
    "no channels": zero_channels,
    "cut": cut,
}


@pytest.mark.parametrize(
    ("kind", "suffix", "message"),
    [
        ("missing", "wav", "there is no such file"),
        ("folder", "wav", "is a folder"),
        ("empty", "wav", r"empty \(0 bytes\)"),
        ("page", "wav", "not audio that can be read .*it is a web page"),
        ("no samples", "wav", "no samples"),
        ("silent", "flac", "silent: no sample above 0.0001"),
        ("nan", "wav", "NaN or infinite"),
        ("no channels", "wav", "not audio that can be read"),
        ("cut", "wav", "truncated: the header promises 32044 bytes, but 10681"),
        ("cut", "aiff", "truncated: the header promises"),
        ("cut", "flac", "truncated or damaged"),
    ],
)
def test_says_in_one_line_what_is_wrong(tmp_path, kind, suffix, message):
    path = tmp_path / f"x.{suffix}"
    SPOIL[kind](path, chirp())
    with pytest.raises(AudioError, match=message) as caught:
        check_audio(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_not_called_no_audio(tmp_path):
    with pytest.raises(AudioError, match=r"cannot be read \(file name too long\)") as caught:
        audio_info(tmp_path / f"{'x' * 300}.wav")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_whole_file_is_read_or_refused(tmp_path):
    cut(tmp_path / "x.wav", chirp())
    with pytest.raises(AudioError, match="truncated: the header promises"):
        read_audio(tmp_path / "x.wav")


def test_a_damaged_span_is_refused_when_read(tmp_path):
    cut(tmp_path / "x.flac", chirp())
    with pytest.raises(AudioError, match="truncated or damaged"):
        read_audio(tmp_path / "x.flac", start=0.9, duration=0.05)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_written_into_a_pipe_promises_nothing(tmp_path, size):
    path = tmp_path / "x.wav"
    write_audio(path, chirp(0.5), 16000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    assert check_audio(path).info.frames == 8000


@pytest.mark.skipif(
    not FORMATS.is_dir(), reason="the odd files of ../shared/data/formats are absent"
)
def test_odd_files_of_the_world():
    """All are read, but those which are no sound: and they are told apart from silent ones."""
    problems = {}
    for path in sorted(FORMATS.iterdir()):
        try:
            check_audio(path)
        except AudioError as error:
            problems[path.name] = str(error).removeprefix(f"{path}: ").partition(":")[0]
    broken = {name: text for name, text in problems.items() if text != "silent"}
    assert set(broken) == {
        "._ANMLDog_Big Bark 01_KJP_ESC10.wav",
        "html_error.wav",
        "manifest.json",
        "no_samples.wav",
        "truncated.flac",
        "truncated.wav",
        "zero_bytes.wav",
    }
    assert "streamed_header.wav" not in problems
