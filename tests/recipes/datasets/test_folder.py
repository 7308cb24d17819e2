"""The command, on folders as people have them."""

import contextlib
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from audiogen.audio import read_audio, write_audio
from audiogen.data.manifest import SPLITS, read_manifest
from recipes.datasets import convert
from recipes.datasets.folder import class_labels, list_files, main

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real files of ../shared/data are absent"
)


def write_sine(path, frequency=300.0, seconds=0.3, rate=8000, channels=1):
    time = torch.arange(round(seconds * rate)) / rate
    sound = 0.5 * torch.sin(2 * math.pi * frequency * time)
    write_audio(path, sound.expand(channels, -1), rate)


@pytest.fixture
def sounds(tmp_path):
    """A folder with a bit of everything."""
    folder = tmp_path / "my sounds"
    write_sine(folder / "dog_bark-01.wav", 300, rate=44100, channels=2)
    write_sine(folder / "rain.FLAC", 310)
    write_sine(folder / " leading space.wav", 320)
    write_sine(folder / "-dash.aif", 330)
    write_sine(folder / "café #1 50%.wav", 340)
    write_sine(folder / "long ambience.wav", 350, seconds=25)
    write_sine(folder / "a" / "same.wav", 360)
    write_sine(folder / "b" / "same.wav", 370)
    write_sine(folder / "b" / "same.mp3", 380)
    write_sine(folder / "b" / "copy of same.wav", 370)
    (folder / "broken.wav").write_bytes(b"")
    (folder / "page.mp3").write_text("<html>")
    (folder / "phone.m4a").write_bytes(b"x" * 100)
    (folder / "._dog_bark-01.wav").write_bytes(b"x" * 100)
    (folder / ".hidden").mkdir()
    write_sine(folder / ".hidden" / "x.wav")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "y.wav").write_bytes(b"x")
    (folder / "license.pdf").write_bytes(b"%PDF")
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def clips_of(out):
    return {clip.extra["file"]: clip for clip in read_manifest(out / "manifest.jsonl")}


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "conversions.jsonl"
    }


def state(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def test_the_whole_of_it(sounds, tmp_path, capsys):
    before = state(sounds)
    assert run(sounds, "--out", tmp_path / "out") == 0
    printed, told = capsys.readouterr()
    summary = json.loads(printed)
    clips = clips_of(tmp_path / "out")
    assert set(clips) == {
        "dog_bark-01.wav",
        "rain.FLAC",
        " leading space.wav",
        "-dash.aif",
        "café #1 50%.wav",
        "long ambience.wav",
        "a/same.wav",
        "b/same.wav",
        "b/same.mp3",
        "b/copy of same.wav",
    }
    assert clips["dog_bark-01.wav"].captions == ("dog bark",)
    assert clips["a/same.wav"].labels == {}
    assert len({clip.path for clip in clips.values()}) == 10
    assert clips["b/same.wav"].split == clips["b/copy of same.wav"].split
    for clip in clips.values():
        waveform, rate = read_audio(clip.path)
        assert rate == 16000
        assert len(waveform) == 1
    assert summary["files"] == 10
    assert sum(summary["clips"].values()) == 12
    assert all(summary["clips"][split] for split in SPLITS)
    skipped = [
        json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()
    ]
    assert [row["file"] for row in skipped] == ["broken.wav", "page.mp3", "phone.m4a"]
    assert "convert it to wav or flac" in skipped[2]["reason"]
    assert "passed over: 3 hidden files, 1 other files" in told
    assert "12 clips of 10 files: train" in told
    assert state(sounds) == before


def test_a_second_run_decodes_nothing_and_changes_nothing(sounds, tmp_path, monkeypatch):
    assert run(sounds, "--out", tmp_path / "out") == 0
    before = contents(tmp_path / "out")

    def refuse(*arguments, **options):
        raise AssertionError("converted again")

    monkeypatch.setattr(convert, "convert", refuse)
    assert run(sounds, "--out", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == before


def prepare_slowly(sounds, out):
    fast = convert.audio_writer

    @contextlib.contextmanager
    def slow(*arguments, **options):
        with fast(*arguments, **options) as write:
            yield write
            time.sleep(0.1)

    convert.audio_writer = slow
    run(sounds, "--out", out)


def test_a_killed_run_goes_on_to_the_same_folder(sounds, tmp_path):
    assert run(sounds, "--out", tmp_path / "undisturbed") == 0
    out = tmp_path / "out"
    process = multiprocessing.get_context("fork").Process(target=prepare_slowly, args=(sounds, out))
    process.start()
    deadline = time.monotonic() + 30
    while len(list(out.glob("audio/[!.]*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (out / "manifest.jsonl").exists()
    for path in out.glob("audio/[!.]*"):
        assert path.read_bytes() == (tmp_path / "undisturbed" / "audio" / path.name).read_bytes()
    assert run(sounds, "--out", out) == 0
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_captions_of_a_table_side_cars_and_names_in_this_order(sounds, tmp_path, capsys):
    table = tmp_path / "table.csv"
    table.write_text(
        "File;Caption\nrain.FLAC;rain on tin\nrain.FLAC;heavy rain\nb/same.wav;the second\n"
        "gone.wav;nothing\ndog_bark-01.wav;\n"
    )
    (sounds / "rain.txt").write_text("not this one")
    (sounds / "dog_bark-01.json").write_text('{"caption": "a dog barks twice"}')
    (sounds / "-dash.txt").write_text("a dash\nof salt\n")
    (sounds / "a" / "same.json").write_text("{")
    assert run(sounds, "--out", tmp_path / "out", "--captions", table) == 0
    clips = clips_of(tmp_path / "out")
    assert clips["rain.FLAC"].captions == ("rain on tin", "heavy rain")
    assert clips["b/same.wav"].captions == ("the second",)
    assert clips["dog_bark-01.wav"].captions == ("a dog barks twice",)
    assert clips["-dash.aif"].captions == ("a dash", "of salt")
    assert clips["a/same.wav"].captions == ("same",)
    told = capsys.readouterr().err
    assert "captions of 2 files are from" in told
    assert "1 files it names are not there: gone.wav" in told
    assert "1 side-cars not used" in told
    assert "captions of 2 files are from the text or JSON files beside them" in told
    assert "3 hidden files, 1 other files" in told  # a file of captions is not passed over


def test_a_table_in_the_folder_is_found(sounds, tmp_path, capsys):
    (sounds / "captions.csv").write_text("name,text\nrain,it pours\n")
    assert run(sounds, "--out", tmp_path / "out") == 0
    assert clips_of(tmp_path / "out")["rain.FLAC"].captions == ("it pours",)
    told = capsys.readouterr().err
    assert f"captions of 1 files are from {sounds / 'captions.csv'}" in told
    assert "3 hidden files, 1 other files" in told


def test_new_captions_need_no_new_conversion(sounds, tmp_path, monkeypatch):
    assert run(sounds, "--out", tmp_path / "out") == 0
    monkeypatch.delattr(convert, "audio_writer")
    (sounds / "rain.txt").write_text("it pours")
    assert run(sounds, "--out", tmp_path / "out") == 0
    assert clips_of(tmp_path / "out")["rain.FLAC"].captions == ("it pours",)


def test_class_folders_become_labels(tmp_path):
    for number, name in enumerate(["dog/1.wav", "dog/2.wav", "cat/1.wav"]):
        write_sine(tmp_path / "in" / name, 300 + 10 * number)
    assert run(tmp_path / "in", "--out", tmp_path / "out") == 0
    clips = clips_of(tmp_path / "out")
    assert clips["cat/1.wav"].labels == {"class": "cat"}
    assert clips["dog/2.wav"].captions == ("dog",)
    assert {clip.source for clip in clips.values()} == {"in"}


@pytest.mark.parametrize(
    ("keys", "labels"),
    [
        (["dog/1.wav", "2.wav"], {}),
        (["dog/1.wav", "dog/2.wav"], {}),
        (["x/dog/1.wav", "x/cat/2.wav"], {"x/dog/1.wav": "dog", "x/cat/2.wav": "cat"}),
    ],
)
def test_class_labels(keys, labels):
    assert class_labels({key: Path(key) for key in keys}) == labels


def test_settings_reach_the_manifest(sounds, tmp_path):
    arguments = [
        "--sample-rate",
        8000,
        "--clip-seconds",
        5,
        "--source",
        "field",
        "--licence",
        "CC0",
    ]
    assert run(sounds, "--out", tmp_path / "out", *arguments) == 0
    clips = list(read_manifest(tmp_path / "out" / "manifest.jsonl"))
    assert {(clip.source, clip.licence) for clip in clips} == {("field", "CC0")}
    assert len([clip for clip in clips if clip.extra["file"] == "long ambience.wav"]) == 5
    assert read_audio(clips[0].path)[1] == 8000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "out"], "nowhere: there is no such folder"),
        (["sounds", "--out", "sounds/out"], "which is only read; choose another --out"),
        (["sounds", "--out", "sounds"], "which is only read"),
        (["sounds", "--out", "out"], "only 1 of 1 sound files can be used, at least 3 are needed"),
        (
            ["sounds", "--out", "out", "--captions", "no.csv"],
            "no.csv: the table of captions cannot be read",
        ),
        (
            ["sounds", "--out", "out", "--captions", "other.csv"],
            "none of its 1 names is a file: y.wav",
        ),
        (["sounds", "--out", "used"], "has audio that no recipe put there"),
        (["other.csv", "--out", "out"], "other.csv: is a file, not a folder"),
        (["sounds", "--out", "other.csv"], "File exists: 'other.csv'"),
        (["sounds", "--out", "other.csv/x"], "Not a directory"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_sine(tmp_path / "sounds" / "x.wav")
    (tmp_path / "other.csv").write_text("file,caption\ny.wav,rain\n")
    (tmp_path / "used" / "audio").mkdir(parents=True)
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_names_that_are_no_text_and_links(tmp_path):
    folder = tmp_path / "in"
    write_sine(folder / "a\udc85b.wav", 300)
    write_sine(tmp_path / "elsewhere" / "x.wav", 310)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.wav").symlink_to(tmp_path / "gone.wav")
    found, _ = list_files(folder)
    assert list(found) == ["a\\x85b.wav", "link/x.wav", "nowhere.wav"]
    assert run(folder, "--out", tmp_path / "out", "--min-files", 2) == 0
    assert set(clips_of(tmp_path / "out")) == {"a\\x85b.wav", "link/x.wav"}


def test_folders_that_cannot_be_looked_into_are_listed(tmp_path, monkeypatch, capsys):
    write_sine(tmp_path / "in" / "x.wav", 300)
    (tmp_path / "in" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):  # for root, who runs many a container, no folder is locked
        if Path(path).name in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    locked = {"locked"}
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--min-files", 1) == 0
    assert "1 files skipped (1 folder cannot be read)" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "skipped.jsonl").read_text())["file"] == "locked/"
    locked = {"in"}
    assert run(tmp_path / "in", "--out", tmp_path / "out2") == 2
    assert "Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "out2").exists()


def test_as_a_command(tmp_path):
    for number in range(3):
        write_sine(tmp_path / "in" / f"bell {number}.wav", 300 + number)
    command = [
        sys.executable,
        "-m",
        "recipes.datasets.folder",
        tmp_path / "in",
        "--out",
        tmp_path / "out",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["clips"] == {"train": 1, "valid": 1, "test": 1}
    assert "3/3" in done.stderr


@needs_shared
def test_odd_files_of_the_world(tmp_path, capsys):
    assert run(SHARED / "formats", "--out", tmp_path / "out") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["files"] == 19
    assert sum(summary["skipped"].values()) == 14
    clip = clips_of(tmp_path / "out")["ANMLDog_Big Bark 01_KJP_ESC10.wav"]
    assert clip.captions == ("dog big bark",)


@needs_shared
def test_a_library_in_nested_folders(tmp_path):
    assert run(SHARED / "mini_trees" / "sonniss", "--out", tmp_path / "out") == 0
    assert "__MACOSX" not in "".join(clips_of(tmp_path / "out"))
