import json
import math
from pathlib import Path

import pytest
import torch

from audiogen.audio import write_audio
from audiogen.data.manifest import read_manifest
from recipes.datasets.esc50 import CAPTIONS, main

SHARED = Path(__file__).parents[4] / "shared" / "data"
HEADER = "filename,fold,target,category,esc10,src_file,take"


def write_sine(path, frequency):
    time = torch.arange(2400) / 8000
    write_audio(path, 0.5 * torch.sin(2 * math.pi * frequency * time), 8000)


def make_tree(root, suffix=".wav", header=HEADER, extra=""):
    """Five recordings of two classes, one per fold, as the published archive has them."""
    rows = []
    for fold in range(1, 6):
        name = f"{fold}-100-A-{fold % 2}"
        write_sine(root / "audio" / f"{name}{suffix}", 200 + 50 * fold)
        category = "dog" if fold % 2 else "chirping_birds"
        rows.append(f"{name}.wav,{fold},{fold % 2},{category},{bool(fold % 2)},100,A{extra}")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def clips_of(out):
    return {clip.extra["file"]: clip for clip in read_manifest(out / "manifest.jsonl")}


def test_every_class_has_several_good_sentences():
    captions = json.loads(CAPTIONS.read_text(encoding="utf-8"))
    assert len(captions) == 50
    sentences = [sentence for texts in captions.values() for sentence in texts]
    assert len(set(sentences)) == len(sentences)
    assert all(len(texts) >= 3 for texts in captions.values())
    assert all(s[0].isupper() and s.endswith(".") and s.count(" ") >= 1 for s in sentences)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_the_published_layout(tmp_path, suffix, capsys):
    root = make_tree(tmp_path / "ESC-50-master", suffix)
    assert main([str(root), "--out", str(tmp_path / "out")]) == 0
    clips = clips_of(tmp_path / "out")
    splits = {name[0]: clip.split for name, clip in clips.items()}
    assert splits == {"1": "train", "2": "train", "3": "train", "4": "valid", "5": "test"}
    dog, birds = clips[f"1-100-A-1{suffix}"], clips[f"2-100-A-0{suffix}"]
    assert (dog.licence, birds.licence) == ("CC BY 3.0", "CC BY-NC 3.0")
    assert dog.labels == {"class": "dog"}
    assert dog.source == "esc50"
    assert "A dog barks." in dog.captions
    assert birds.labels == {"class": "chirping_birds"}
    assert json.loads(capsys.readouterr().out)["clips"] == {"train": 3, "valid": 1, "test": 1}


def test_a_split_column_goes_before_the_folds(tmp_path):
    root = make_tree(tmp_path / "in", header=HEADER + ",split", extra=",test")
    assert main([str(root), "--out", str(tmp_path / "out")]) == 0
    assert {clip.split for clip in clips_of(tmp_path / "out").values()} == {"test"}


def test_an_unpacked_archive_with_a_folder_around(tmp_path):
    make_tree(tmp_path / "in" / "ESC-50-master")
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert len(clips_of(tmp_path / "out")) == 5


def test_missing_files_are_listed(tmp_path):
    root = make_tree(tmp_path / "in")
    (root / "audio" / "3-100-A-1.wav").unlink()
    assert main([str(root), "--out", str(tmp_path / "out")]) == 0
    row = json.loads((tmp_path / "out" / "skipped.jsonl").read_text())
    assert row["file"] == "3-100-A-1.wav"
    assert row["reason"].startswith("missing: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("category", "kind", "no column category; has"),
        (",3,1,dog", ",7,1,dog", r"esc50.csv:4: fold '7' and split None"),
        ("3-100-A-1.wav", "2-100-A-0.wav", "esc50.csv:4: 2-100-A-0.wav stands on an earlier line"),
        ("3-100-A-1.wav", "../x.wav", "esc50.csv:4: '../x.wav' is no name of a file in audio/"),
        (",3,1,dog,True,100,A", "", "esc50.csv:4: expected filename, fold, category, got"),
        (",3,1,dog", ",3,1,dog,", "esc50.csv:4: expected filename, fold, category, got"),
        (",3,1,dog", ",3,1," + "x" * 200000, "esc50.csv:4: not a table of commas in UTF-8"),
    ],
)
def test_tables_that_are_not_right(tmp_path, capsys, old, new, message):
    root = make_tree(tmp_path / "in")
    table = root / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(old, new))
    assert main([str(root), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_refuses_what_is_not_esc50_and_to_write_into_it(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert "expected meta/esc50.csv and audio/" in capsys.readouterr().err
    root = make_tree(tmp_path / "in")
    assert main([str(root), "--out", str(root / "out")]) == 2
    assert "which is only read" in capsys.readouterr().err


def test_the_root_may_be_the_only_folder_inside_and_needs_sounds(tmp_path, capsys):
    root = make_tree(tmp_path / "a" / "ESC-50-master")
    assert main([str(tmp_path / "a"), "--out", str(tmp_path / "out")]) == 0
    (tmp_path / "b" / "meta").mkdir(parents=True)
    (tmp_path / "b" / "meta" / "esc50.csv").write_text(HEADER)
    for other in (root / "audio", tmp_path / "nowhere", tmp_path / "b"):
        capsys.readouterr()
        assert main([str(other), "--out", str(tmp_path / "other")]) == 2
        assert "expected meta/esc50.csv and audio/" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips of ../shared/data are absent")
def test_real_clips(tmp_path, capsys):
    assert main([str(SHARED / "formats"), "--out", str(tmp_path / "no")]) == 2
    assert "expected meta/esc50.csv and audio/" in capsys.readouterr().err
    assert main([str(SHARED / "esc10_ogg"), "--out", str(tmp_path / "out")]) == 0
    clips = clips_of(tmp_path / "out")
    assert len(clips) == 80
    assert {clip.licence for clip in clips.values()} == {"CC BY 3.0"}
    assert len({clip.labels["class"] for clip in clips.values()}) == 10
