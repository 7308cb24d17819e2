"""The audit finds what was planted, says it, and leaves out only what cannot be scored."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.audiocaps_metrics.audit import audit, main
from recipes.audiocaps_metrics.audit_text import audit_text

from .conftest import IDS, noise, rows_of

SHARED = Path(__file__).parents[4] / "shared/data"
MORE = [f"more-id_{i:03d}" for i in range(9)]  # 11 characters
ALL = IDS + MORE


@pytest.fixture
def planted(write_csv, write_sounds):
    """Fourteen clips, each with a fault of its own but the first three."""
    sounds = {f"Y{ALL[i]}.wav": noise(i) for i in range(11) if i != 4}
    sounds[f"Y{ALL[3]}.wav"] = noise(3, seconds=0.5)
    sounds[f"Y{ALL[5]}.wav"] = np.zeros(80_000)
    sounds[f"Y{ALL[6]}.wav"] = noise(6, seconds=4)
    sounds[f"Y{ALL[8]}.flac"] = sounds.pop(f"Y{ALL[8]}.wav")
    sounds[f"Y{ALL[7]}.wav"] = soundfile_rounded(sounds[f"Y{ALL[8]}.flac"])
    sounds[f"Y{ALL[9]}.wav"] = 0.3 * noise(0) + 0.001 * noise(99)
    sounds[f"{ALL[1]}_10.wav"] = noise(1)  # a second file, the same
    sounds[f"{ALL[2]}.wav"] = noise(77)  # a second file, another sound
    sounds[f"{ALL[11]}_999.wav"] = noise(11)  # another span
    sounds["train/Yother-id__0.wav"] = noise(12)
    folder = write_sounds(sounds)
    (folder / f"Y{ALL[10]}.wav").write_bytes(b"<html>404</html>")
    (folder / f"Y{ALL[12]}.m4a").write_bytes(b"mp4")
    (folder / "notes.txt").write_text("mine")
    (folder / "._junk.wav").write_bytes(b"junk")
    return folder, write_csv([*rows_of(ALL), ["1", "2"]])


def soundfile_rounded(samples):
    return np.round(samples * 32768) / 32768


def test_everything_planted_is_found(planted):
    found = audit(*planted)
    assert found["missing"] == [ALL[4], ALL[11], ALL[13]]
    assert found["silent"] == [ALL[5]]
    assert found["short"] == {ALL[3]: 0.5}
    assert found["wrong_duration"] == {ALL[6]: 4.0}
    assert found["same_samples"] == [[ALL[7], ALL[8]]]
    assert found["same_sound"] == [sorted([ALL[0], ALL[9]])]
    assert [row["clip"] for row in found["unreadable"]] == [ALL[10], ALL[12]]
    assert "not" in found["unreadable"][0]["reason"]
    assert ".m4a files cannot be read" in found["unreadable"][1]["reason"]
    second = {row["file"]: row["is"] for row in found["second_files"]}
    assert second == {f"Y{ALL[1]}.wav": "the same sound", f"Y{ALL[2]}.wav": "other samples"}
    assert found["extra"] == ["train/Yother-id__0.wav"]
    assert found["other_span"] == [f"{ALL[11]}_999.wav"]
    assert found["other_files"] == {"hidden files": 1, "other files": 1}
    assert found["usable"] == [ALL[i] for i in (0, 1, 2, 6, 7, 8, 9)]
    assert found["official"]["damaged_rows"] == ["line 72: 2 cells instead of 4"]
    assert found["fad_bias"] == {"clips": 7, "at_this_n": None, "at_official_n": None,
                                 "added": None, "share": 1.0}  # fmt: skip
    json.dumps(found, allow_nan=False)


def test_of_two_clips_whose_files_some_systems_call_one_the_first_is_scored(
    write_csv, write_sounds
):
    """Their sounds lie in two folders, as they would on such a system; each is its own clip's."""
    clips = ["ABCdef_-123", "other_id_01", "abcDEF_-123"]
    sounds = {f"{i}/Y{name}.wav": noise(i, seconds=10) for i, name in enumerate(clips)}
    found = audit(write_sounds(sounds), write_csv(rows_of(clips)))
    assert found["usable"] == clips[:2]
    assert found["same_name"] == [[clips[2], clips[0]]]
    assert found["files"] == {name: f"{i}/Y{name}.wav" for i, name in enumerate(clips)}
    text = audit_text(found)
    assert "1 clips are called as another, but for capitals, and left out:" in text
    assert "  abcDEF_-123 (ABCdef_-123 is taken)" in text


def test_every_finding_is_in_the_text(planted):
    text = audit_text(audit(*planted))
    for line in (
        "7 of 14 clips can be scored",
        "3 clips are missing:",
        "2 files cannot be read:",
        "1 clips are silent and left out:",
        "1 clips are shorter than a second and left out:",
        "1 clips are not 10 s long, but scored:",
        "1 groups of clips hold the same samples:",
        "1 pairs of clips sound the same:",
        "2 files are of clips that have one already:",
        "1 files are of another span of a clip's video:",
        "1 files belong to no clip:",
        "1 rows of the table are damaged and left out:",
        "FAD at N = 7 is chance more than anything",
    ):
        assert line in text


def test_a_whole_set_has_nothing_to_say(write_csv, write_sounds):
    found = audit(
        write_sounds({f"{n}.wav": noise(i) for i, n in enumerate(IDS)}), write_csv(rows_of(IDS))
    )
    assert found["usable"] == IDS
    assert "none of these: clips are missing; files cannot be read" in audit_text(found)


def test_what_missing_clips_add_to_fad_is_said(write_csv, write_sounds):
    ids = [f"clip-no{i:04d}" for i in range(125)]
    sounds = {f"Y{n}.wav": noise(i, seconds=1) for i, n in enumerate(ids[:100])}
    found = audit(write_sounds(sounds), write_csv(rows_of(ids, captions=1)))
    assert found["fad_bias"]["share"] == 0.25
    text = audit_text(found)
    assert "chance alone makes 1.1 to 11 of it" in text
    assert "because 25 clips are not there: the bias grows by 25.0%, as 1 / N does" in text
    assert "125 clips of the table do not have five captions" in text


def test_the_command_prints_and_writes(planted, tmp_path, capsys):
    folder, table = planted
    assert main([str(folder), "--csv", str(table), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "audit.txt").read_text()
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["usable"]


def test_mistakes_are_one_line_and_exit_code_2(planted, tmp_path, capsys):
    folder, table = planted
    empty = tmp_path / "empty"
    empty.mkdir()
    silent = tmp_path / "silent"
    silent.mkdir()
    soundfile.write(silent / f"Y{IDS[0]}.wav", np.zeros(80_000), 8000)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / f"{IDS[0]}.wav").write_bytes(b"RIFF")
    for words, said in [
        ([tmp_path / "nowhere", "--csv", table], "there is no such folder"),
        ([table, "--csv", table], "is a file, not a folder"),
        ([folder, "--csv", tmp_path / "none.csv"], "there is no such file"),
        ([empty, "--csv", table], "none of its 0 sound files is named like one of the 14 clips"),
        ([folder / "train", "--csv", table], "such as Yother-id__0.wav is named like"),
        ([broken, "--csv", table], "none of the 1 files of clips can be read"),
        ([silent, "--csv", table], "no clip of it can be scored"),
    ]:
        assert main([str(word) for word in words]) == 2
        errors = capsys.readouterr().err.strip().splitlines()
        assert said in errors[-1]
        assert sum(line.startswith("error: ") for line in errors) == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
@pytest.mark.parametrize("kind", ["audio_Y", "audio_yt_start", "audio_by_audiocap_id"])
def test_real_layouts(kind):
    folder = SHARED / "mini_trees/audiocaps" / kind
    found = audit(folder, SHARED / "metadata/audiocaps/test.csv")
    test = list((folder / "test").iterdir())
    assert found["present"] == len(test)
    assert len(found["extra"]) == len(list(folder.rglob("*.*"))) - len(test)
    assert len(found["missing"]) == 975 - len(test)
