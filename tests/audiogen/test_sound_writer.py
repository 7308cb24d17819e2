"""What a sound file says of itself, read back by libsndfile and by reading the bytes."""

import resource
import struct

import pytest
import torch

from audiogen.audio import AudioError, audio_info, read_audio, read_tags, write_audio
from audiogen.sound_writer import shortened

WORDS = {
    "title": "Ein Hündchen 犬 🐕 bellt",
    "comment": '{"seed": 3, "prompt": "犬"}',
    "copyright": "licence of the model: CC0-1.0",
    "software": "audiogen 0.1.0",
}


@pytest.fixture
def sound():
    return 0.3 * torch.sin(torch.arange(8000) * 0.2)[None]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".aiff"])
def test_tags_come_back(tmp_path, sound, suffix):
    path = tmp_path / f"a{suffix}"
    write_audio(path, sound, 16000, tags=WORDS | {"license": "CC0-1.0"})
    found = read_tags(path)
    for name in ("title", "comment", "copyright"):
        assert found[name] == WORDS[name]
    assert found["software"].startswith("audiogen 0.1.0")
    if suffix in (".flac", ".ogg", ".opus"):
        assert found["license"] == "CC0-1.0"


def test_tags_change_no_sample(tmp_path, sound):
    write_audio(tmp_path / "plain.wav", sound, 16000)
    for suffix in (".wav", ".flac"):
        write_audio(tmp_path / f"a{suffix}", sound, 16000, tags=WORDS)
        assert torch.equal(
            read_audio(tmp_path / f"a{suffix}")[0], read_audio(tmp_path / "plain.wav")[0]
        )


def test_mp3_says_what_ascii_can(tmp_path, sound):
    write_audio(tmp_path / "a.mp3", sound, 16000, tags=WORDS)
    found = read_tags(tmp_path / "a.mp3")
    assert found["title"] == "Ein Hundchen   bellt"
    assert found["comment"] == '{"seed": 3, "prompt": ""}'
    write_audio(tmp_path / "b.mp3", sound, 16000, tags={"title": "犬"})
    assert "title" not in read_tags(tmp_path / "b.mp3")


def test_a_wav_file_has_the_chunk_that_others_read(tmp_path, sound):
    """LIST INFO, as the RIFF specification has it: INAM is the title, ICMT the comment."""
    write_audio(tmp_path / "a.wav", sound, 16000, tags=WORDS)
    data = (tmp_path / "a.wav").read_bytes()
    (size,) = struct.unpack("<I", data[data.index(b"LIST") + 4 :][:4])
    info = data[data.index(b"LIST") + 8 :][:size]
    assert info[:4] == b"INFO"
    entries, at = {}, 4
    while at < len(info):
        name, length = struct.unpack("<4sI", info[at : at + 8])
        entries[name.decode()] = info[at + 8 : at + 8 + length].rstrip(b"\0").decode()
        at += 8 + length + length % 2
    assert entries["INAM"] == WORDS["title"]
    assert entries["ICMT"] == WORDS["comment"]
    assert entries["ICOP"] == WORDS["copyright"]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".w64"])
def test_words_of_any_length_spoil_no_file(tmp_path, sound, suffix):
    path = tmp_path / f"a{suffix}"
    write_audio(path, sound, 16000, tags={"title": "雨 rain" * 9000, "comment": "x" * 90000})
    assert audio_info(path).frames == 8000
    if suffix not in (".mp3", ".w64"):
        assert read_tags(path)["title"] == shortened("雨 rain" * 9000)
        assert read_tags(path)["comment"] == "x" * 1997 + "..."


def test_words_are_cut_between_letters():
    assert shortened("rain") == "rain"
    cut = shortened("雨" * 700)
    assert len(cut.encode()) <= 2000
    assert cut == "雨" * 665 + "..."


def test_an_unknown_tag_writes_nothing(tmp_path, sound):
    with pytest.raises(ValueError, match="unknown tag 'titel': known are title, artist"):
        write_audio(tmp_path / "a.wav", sound, 16000, tags={"titel": "rain"})
    with pytest.raises(AudioError, match="unknown suffix"):
        write_audio(tmp_path / "a.xyz", sound, 16000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".w64"])
def test_what_a_disk_does_not_take_is_no_file(tmp_path, sound, suffix):
    """Encoders keep the end of a sound until they are closed, and libsndfile does not look then."""
    path = tmp_path / f"a{suffix}"
    write_audio(path, sound, 16000, tags=WORDS)
    size = path.stat().st_size
    path.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 60, size // 2, size - 700, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match=r"cannot be written .*is the disk full\?"):
                write_audio(path, sound, 16000, tags=WORDS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(tmp_path.iterdir()) == []
    write_audio(path, sound, 16000, tags=WORDS)
    assert path.stat().st_size == size
