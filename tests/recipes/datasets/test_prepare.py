import doctest
import json
import math

import pytest
import torch

import recipes.datasets.captions
import recipes.datasets.prepare
from audiogen.audio import write_audio
from audiogen.data.manifest import SPLITS, read_manifest
from recipes.datasets.prepare import Sound, choose_splits, file_names, prepare

SETTINGS = {"origin": "a test", "sample_rate": 8000, "clip_seconds": 2.0, "split_seed": 0}


def write_sine(path, frequency, seconds=0.3):
    time = torch.arange(round(seconds * 8000)) / 8000
    write_audio(path, 0.5 * torch.sin(2 * math.pi * frequency * time), 8000)
    return path


def make_sounds(folder, count, same=(), **changes):
    sounds = []
    for number in range(count):
        frequency = 100 if number in same else 200 + 10 * number
        fields = {"captions": (f"sound {number}",), "source": "mine", "licence": "CC0"}
        fields |= {"labels": {}, "split": None}
        path = write_sine(folder / f"{number}.wav", frequency)
        sounds.append(Sound(path=path, key=path.name, **fields | changes))
    return sounds


def splits_of(report):
    return {clip.extra["file"]: clip.split for clip in read_manifest(report.manifest)}


def test_a_manifest_comes_out(tmp_path):
    sounds = make_sounds(tmp_path, 4, labels={"class": "sine"})
    report = prepare(sounds, tmp_path / "out", **SETTINGS)
    clips = list(read_manifest(report.manifest))
    assert [clip.id for clip in clips] == ["0", "1", "2", "3"]
    assert clips[2].path == tmp_path / "out" / "audio" / "2.flac"
    assert (clips[2].start, clips[2].duration) == (0.0, 0.3)
    assert clips[2].captions == ("sound 2",)
    assert (clips[2].source, clips[2].licence) == ("mine", "CC0")
    assert clips[2].labels == {"class": "sine"}
    assert report.files == 4
    assert sum(report.clips.values()) == 4
    assert all(report.clips[split] >= 1 for split in SPLITS)


def test_clips_of_a_long_file_share_it_and_its_split(tmp_path):
    sounds = make_sounds(tmp_path, 3)
    write_sine(sounds[1].path, 300, seconds=5.5)
    report = prepare(sounds, tmp_path / "out", **SETTINGS)
    clips = [clip for clip in read_manifest(report.manifest) if clip.extra["file"] == "1.wav"]
    assert [clip.id for clip in clips] == ["1.000", "1.001", "1.002"]
    assert len({(clip.path, clip.split) for clip in clips}) == 1
    assert [clip.start for clip in clips] == [0.0, 2.0, 4.0]


def test_equal_sounds_stay_together_and_are_all_kept(tmp_path):
    report = prepare(make_sounds(tmp_path, 20, same=range(0, 20, 2)), tmp_path / "out", **SETTINGS)
    splits = splits_of(report)
    assert len(splits) == 20
    assert len({splits[f"{number}.wav"] for number in range(0, 20, 2)}) == 1


def test_splits_that_are_given_are_kept(tmp_path):
    sounds = make_sounds(tmp_path, 4, split="valid")
    assert set(splits_of(prepare(sounds, tmp_path / "out", **SETTINGS)).values()) == {"valid"}


def test_another_seed_makes_other_splits_of_the_same_files(tmp_path):
    sounds = make_sounds(tmp_path, 12)
    first = splits_of(prepare(sounds, tmp_path / "out", **SETTINGS))
    audio = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "audio").iterdir()}
    second = splits_of(prepare(sounds, tmp_path / "out", **SETTINGS | {"split_seed": 1}))
    assert first != second
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "audio").iterdir()} == audio


def test_files_of_no_use_are_listed_and_counted(tmp_path):
    sounds = make_sounds(tmp_path, 6)
    sounds[1].path.write_bytes(b"")
    sounds[2].path.write_text("<html>")
    sounds[4].path.write_bytes(b"")
    missing = [{"file": "9.wav", "reason": "missing: not there"}]
    report = prepare(sounds, tmp_path / "out", missing=missing, **SETTINGS)
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()
    ]
    assert [row["file"] for row in rows] == ["1.wav", "2.wav", "4.wav", "9.wav"]
    assert report.skipped == {"empty": 2, "not audio that can be read": 1, "missing": 1}
    assert report.files == 3


def test_too_few_is_an_error_that_says_why(tmp_path):
    sounds = make_sounds(tmp_path, 4)
    sounds[0].path.write_bytes(b"")
    sounds[3].path.write_text("<html>")
    with pytest.raises(
        ValueError,
        match=r"only 2 of 4 sound files can be used, at least 3 are needed \(1 empty, 1 not audio",
    ):
        prepare(sounds, tmp_path / "out", **SETTINGS)
    assert (tmp_path / "out" / "skipped.jsonl").exists()
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
    assert prepare(sounds, tmp_path / "out", min_files=2, **SETTINGS).files == 2


def test_nothing_is_too_few_whatever_is_asked(tmp_path):
    with pytest.raises(ValueError, match="only 0 of 0"):
        prepare([], tmp_path / "out", min_files=0, **SETTINGS)


def test_refuses_the_folder_of_something_else(tmp_path):
    sounds = make_sounds(tmp_path, 3)
    prepare(sounds, tmp_path / "out", **SETTINGS)
    with pytest.raises(ValueError, match="holds a test, not another; choose another --out"):
        prepare(sounds, tmp_path / "out", **SETTINGS | {"origin": "another"})
    (tmp_path / "mine" / "audio").mkdir(parents=True)
    with pytest.raises(ValueError, match="has audio that no recipe put there"):
        prepare(sounds, tmp_path / "mine", **SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_rate": 0},
        {"sample_rate": 10**9},
        {"clip_seconds": 0.0},
        {"clip_seconds": math.nan},
        {"clip_seconds": math.inf},
    ],
)
def test_refuses_sizes_that_are_none(tmp_path, changes):
    with pytest.raises(ValueError, match="expected a sample rate of 1 to 655350 Hz and clips of"):
        prepare(make_sounds(tmp_path, 3), tmp_path / "out", **SETTINGS | changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[1]", "{}", ""])
def test_a_damaged_record_is_named(tmp_path, text):
    sounds = make_sounds(tmp_path, 3)
    prepare(sounds, tmp_path / "out", **SETTINGS)
    (tmp_path / "out" / "prepared.json").write_text(text)
    with pytest.raises(ValueError, match=r"prepared\.json: damaged; delete"):
        prepare(sounds, tmp_path / "out", **SETTINGS)


def test_a_clip_without_caption_is_counted(tmp_path):
    report = prepare(make_sounds(tmp_path, 3, captions=()), tmp_path / "out", **SETTINGS)
    assert report.uncaptioned == 3


# Names


def test_no_two_files_get_one_name():
    keys = [
        "a/x.wav",
        "a/x.flac",
        "a-x.wav",
        "A/X.wav",
        "a/x/.wav",
        "b/x.wav",
        "café.wav",
        "cafe\u0301.wav",
    ]
    names = file_names(keys)
    assert len({name.casefold() for name in names.values()}) == len(keys)
    assert names["b/x.wav"] == "b-x"


@pytest.mark.parametrize(
    "key",
    [
        "-id.wav",
        "--id.wav",
        " x .wav",
        'dog\'s "best" #1 50%.wav',
        "a\\udc85b.wav",
        "雨.wav",
        "...wav",
        "n" * 250 + ".wav",
        "é" * 120 + ".wav",
    ],
)
def test_names_fit_every_file_system(key):
    name = file_names([key])[key]
    assert name
    assert name[0] not in "-. "
    assert len(name.encode()) <= 100
    assert not set(name) & set("/\\ \"'#%?*:|<>")


def test_long_names_that_begin_alike_differ():
    keys = ["n" * 250 + f"{number}.wav" for number in range(3)]
    assert len(set(file_names(keys).values())) == 3


# Splits


@pytest.mark.parametrize("count", [3, 4, 5, 10, 50])
@pytest.mark.parametrize("seed", range(5))
def test_no_split_is_empty_from_three_on(count, seed):
    splits = choose_splits([f"g{n}" for n in range(count)], seed=seed)
    assert len(splits) == count
    assert set(splits.values()) == set(SPLITS)
    assert list(splits.values()).count("train") >= count / 3


def test_fewer_than_three():
    assert sorted(choose_splits(["a", "b"], seed=0).values()) == ["train", "valid"]
    assert choose_splits(["a"], seed=0) == {"a": "train"}
    assert choose_splits([], seed=0) == {}


def test_shares():
    splits = list(choose_splits([f"g{n}" for n in range(4000)], seed=0).values())
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.02)


def test_added_groups_do_not_move_the_others():
    few = choose_splits([f"g{n}" for n in range(100)], seed=0)
    many = choose_splits([f"g{n}" for n in reversed(range(200))], seed=0)
    assert all(many[group] == split for group, split in few.items())


@pytest.mark.parametrize("module", [recipes.datasets.captions, recipes.datasets.prepare])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
