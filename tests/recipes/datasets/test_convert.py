import json
import math

import pytest
import soundfile
import torch

from audiogen.audio import AudioError, AudioInfo, AudioLevels, read_audio, write_audio
from recipes.datasets.convert import channels_to_mix, convert, convert_all

RATE = 8000
SETTINGS = {"sample_rate": RATE, "clip_seconds": 2.0}


def sine(seconds, frequency=300.0, rate=16000, peak=0.5):
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (peak * torch.sin(2 * math.pi * frequency * time)).float()


def levels(rms, mono=0.0):
    info = AudioInfo(sample_rate=48000, channels=len(rms), frames=100)
    return AudioLevels(info=info, peak=1.0, channel_rms=tuple(rms), mono_rms=mono)


def test_a_short_file_is_one_clip(tmp_path):
    write_audio(tmp_path / "x.wav", torch.stack([sine(1.0), sine(1.0, peak=0.1)]), 16000)
    row = convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    written, rate = read_audio(tmp_path / "x.flac")
    expected, _ = read_audio(tmp_path / "x.wav", sample_rate=RATE, channels=1)
    assert rate == RATE
    assert row["pieces"] == [[0.0, 1.0]]
    torch.testing.assert_close(written, expected, rtol=0, atol=2**-15)


def test_long_files_become_clips_of_one_file_without_a_seam(tmp_path):
    write_audio(tmp_path / "x.wav", sine(5.5, rate=44100), 44100)
    row = convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    assert row["pieces"] == [[0.0, 2.0], [2.0, 2.0], [4.0, 1.5]]
    written, _ = read_audio(tmp_path / "x.flac")
    expected, _ = read_audio(tmp_path / "x.wav", sample_rate=RATE)
    torch.testing.assert_close(written, expected, rtol=0, atol=2**-15)


def test_a_short_rest_stays_with_the_clip_before(tmp_path):
    write_audio(tmp_path / "x.wav", sine(4.5), 16000)
    row = convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    assert row["pieces"] == [[0.0, 2.0], [2.0, 2.5]]


def test_silent_clips_are_left_out(tmp_path):
    sound = torch.cat([sine(2.0), torch.zeros(32000), sine(2.0)])
    write_audio(tmp_path / "x.wav", sound, 16000)
    row = convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    assert row["pieces"] == [[0.0, 2.0], [4.0, 2.0]]


def test_loud_files_are_turned_down_as_a_whole(tmp_path):
    sound = torch.cat([sine(1.0, peak=0.4), sine(1.0, peak=2.0)])
    write_audio(tmp_path / "x.wav", sound, 16000, subtype="FLOAT")
    convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    written, _ = read_audio(tmp_path / "x.flac")
    assert written[0, 1000:7000].abs().max().item() == pytest.approx(0.2, abs=0.005)
    assert written.abs().max().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("name", "rms", "mono", "channels"),
    [
        ("x.wav", [0.1], 0.1, [0]),
        ("x.wav", [0.1, 0.3], 0.2, [0, 1]),
        ("x.wav", [0.1, 0.0], 0.05, [0, 1]),
        ("antiphase.wav", [0.2, 0.21], 0.005, [1]),
        ("Crowd _5.1 LCRLsRsLf.wav", [0.1, 0.2, 0.3, 0.1, 0.1, 0.5], 0.1, [0, 1]),
        ("centre only.wav", [0.0, 0.0, 0.3, 0.0, 0.0, 0.0], 0.05, [2]),
        ("park_AmbiX.wav", [0.1, 0.2, 0.3, 0.1], 0.1, [0]),
        ("park B-Format.wav", [0.1, 0.2, 0.3, 0.1], 0.1, [0]),
    ],
)
def test_channels(name, rms, mono, channels):
    assert channels_to_mix(name, levels(rms, mono)) == channels


def test_channels_that_cancel_are_not_silence(tmp_path):
    write_audio(tmp_path / "x.wav", torch.stack([sine(1.0), -sine(1.0)]), 16000)
    convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    assert read_audio(tmp_path / "x.flac")[0].abs().max() > 0.45


def test_too_short(tmp_path):
    write_audio(tmp_path / "x.wav", sine(0.05), 16000)
    with pytest.raises(AudioError, match=r"too short: 0\.050 s"):
        convert(tmp_path / "x.wav", tmp_path / "x.flac", **SETTINGS)
    assert not (tmp_path / "x.flac").exists()


def test_equal_sound_has_equal_content_whatever_the_container(tmp_path):
    rows = []
    for suffix in ("wav", "flac"):
        write_audio(tmp_path / f"x.{suffix}", sine(1.0), 16000)
        rows.append(convert(tmp_path / f"x.{suffix}", tmp_path / f"{suffix}.out.flac", **SETTINGS))
    assert rows[0]["sha256"] == rows[1]["sha256"]


@pytest.fixture
def files(tmp_path):
    pairs = {}
    for number in range(3):
        source = tmp_path / f"{number}.wav"
        write_audio(source, sine(0.5, frequency=200 + 50 * number), 16000)
        pairs[str(number)] = (source, tmp_path / "out" / f"{number}.flac")
    (tmp_path / "1.wav").write_bytes(b"")
    return pairs


def run(files, **changes):
    return convert_all(files, files["0"][1].parents[1] / "journal.jsonl", **SETTINGS | changes)


def test_the_journal_saves_all_work(files, monkeypatch):
    rows = run(files)
    assert [("reason" in row) for row in rows.values()] == [False, True, False]
    assert rows["1"]["reason"].startswith("empty (0 bytes)")

    def refuse(*arguments, **options):
        raise AssertionError("converted again")

    monkeypatch.setattr("recipes.datasets.convert.convert", refuse)
    assert run(files) == rows
    with pytest.raises(AssertionError, match="converted again"):
        run(files, clip_seconds=3.0)


@pytest.mark.parametrize(
    "event", ["source changed", "target gone", "target cut", "journal cut", "mended"]
)
def test_what_changed_is_made_again(files, event, monkeypatch):
    first = run(files)
    journal = files["0"][1].parents[1] / "journal.jsonl"
    source, target = files["2"]
    expected = "2"
    if event == "source changed":
        write_audio(source, sine(0.7), 16000)
    elif event == "target gone":
        target.unlink()
    elif event == "target cut":
        target.write_bytes(target.read_bytes()[:100])
    elif event == "journal cut":
        journal.write_bytes(journal.read_bytes()[:-30])
    elif event == "mended":
        write_audio(files["1"][0], sine(0.7), 16000)
        expected = "1"
    done = []

    def counted(source, target, **settings):
        done.append(source.stem)
        return convert(source, target, **settings)

    monkeypatch.setattr("recipes.datasets.convert.convert", counted)
    second = run(files)
    assert done == [expected]
    assert target.exists()
    assert (second == first) == (event in ("target gone", "target cut", "journal cut"))
    assert len([json.loads(line) for line in journal.read_text().splitlines()]) == 3


def test_reads_every_format_it_says(tmp_path):
    for suffix in ("wav", "flac", "ogg", "opus", "mp3", "aiff", "w64"):
        write_audio(tmp_path / f"x.{suffix}", sine(0.5), 16000)
        convert(tmp_path / f"x.{suffix}", tmp_path / f"{suffix}-out.flac", **SETTINGS)
        info = soundfile.info(str(tmp_path / f"{suffix}-out.flac"))
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00\n", b"{nope\n", b"[1]\n", b'{"file": "0"}\n'])
def test_a_damaged_journal_is_made_again(files, damage):
    first = run(files)
    journal = files["0"][1].parents[1] / "journal.jsonl"
    journal.write_bytes(damage)
    assert run(files) == first
    assert len(journal.read_text().splitlines()) == 3


def test_what_a_permission_hid_is_looked_at_again(files, monkeypatch):
    def denied(source, target, **settings):
        raise AudioError(f"{source}: cannot be read") from PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("recipes.datasets.convert.convert", denied)
        assert {row["reason"] for row in run(files).values()} == {"cannot be read"}
    assert [("reason" in row) for row in run(files).values()] == [False, True, False]


def test_a_full_disk_is_no_fault_of_the_sounds(files, monkeypatch):
    def full(source, target, **settings):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recipes.datasets.convert.convert", full)
        with pytest.raises(OSError, match="No space left"):
            run(files)
    assert [("reason" in row) for row in run(files).values()] == [False, True, False]
