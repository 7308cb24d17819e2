"""The procedural data set: balanced, reproducible byte for byte, and resumable."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from audiogen.data.manifest import read_manifest
from audiogen.data.synthetic import FAMILIES
from recipes.datasets.synthetic import main, prepare

CLIPS = {"train": 24, "valid": 12, "test": 12}


def digest(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_splits_are_balanced_and_share_no_sentence(tmp_path):
    clips = list(read_manifest(prepare(tmp_path, clips=CLIPS, duration=1.0, seed=1)))
    for split, number in CLIPS.items():
        families = Counter(c.labels["family"] for c in clips if c.split == split)
        assert families == dict.fromkeys(FAMILIES, number // len(FAMILIES))
    said = {s: {t for c in clips if c.split == s for t in c.captions} for s in CLIPS}
    assert not said["train"] & (said["valid"] | said["test"])
    assert all(len(c.captions) == 1 for c in clips if c.split == "test")


def test_a_resumed_folder_has_the_bytes_of_an_undisturbed_one(tmp_path):
    prepare(tmp_path / "whole", clips=CLIPS, duration=1.0, seed=1)
    prepare(tmp_path / "killed", clips=CLIPS, duration=1.0, seed=1)
    expected = digest(tmp_path / "whole")
    (tmp_path / "killed" / "manifest.jsonl").unlink()
    for path in sorted((tmp_path / "killed" / "audio").iterdir())[::3]:
        path.unlink()
    prepare(tmp_path / "killed", clips=CLIPS, duration=1.0, seed=1)
    assert digest(tmp_path / "killed") == expected


def test_a_folder_of_other_settings_is_refused(tmp_path, capsys):
    prepare(tmp_path, clips=CLIPS, duration=1.0, seed=1)
    with pytest.raises(ValueError, match="choose another folder or delete this one"):
        prepare(tmp_path, clips=CLIPS, duration=1.0, seed=2)
    assert main(["--out", str(tmp_path), "--train", "24"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("clips", "duration", "message"),
    [
        ({"train": 0, "test": 0}, 1.0, "some above 0"),
        ({"train": 2, "test": -1}, 1.0, "some above 0"),
        ({"train": 2}, 0.5, "must last 1 s or more"),
        ({"train": 2}, float("nan"), "must last 1 s or more"),
        ({"train": 2}, float("inf"), "must last 1 s or more"),
    ],
)
def test_nothing_is_left_of_a_mistake(tmp_path, clips, duration, message):
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path / "out", clips=clips, duration=duration, seed=1)
    assert not (tmp_path / "out").exists()


def test_the_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "manifest.jsonl").write_text("mine\n")
    with pytest.raises(ValueError, match="has audio that this recipe did not make"):
        prepare(tmp_path, clips=CLIPS, duration=1.0, seed=1)
    assert main(["--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "File exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]
