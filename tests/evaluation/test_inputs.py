"""What is looked at before the long work: what is passed over is said, with its count."""

import json

import pytest
import soundfile

from evaluation.__main__ import main
from evaluation.audio import AudioError
from evaluation.captions import CaptionError
from evaluation.protocols.card import load_protocol
from evaluation.suite import evaluate
from tests.evaluation.conftest import write_noise

KEYS = ["level_difference_db"]


def score(folders, **options):
    return evaluate(*folders, **{"protocol": "demo", "metrics": KEYS, "sanity": False} | options)


def test_sounds_that_are_not_read_are_listed_and_said(folders):
    (folders[0] / "more.m4a").write_bytes(b"x")
    (folders[0] / "sub").mkdir()
    write_noise(folders[0] / "sub" / "z.wav", seed=1)
    report = score(folders)
    assert report.data["pairs"] == 12
    assert [(entry["name"], entry["side"]) for entry in report.data["excluded"]] == [
        ("more.m4a", "reference"),
        ("sub/z.wav", "reference"),
    ]
    assert any(
        text.startswith(f"2 sounds in {folders[0]} were not read")
        and text.endswith("more.m4a, sub/z.wav")
        for text in report.warnings
    )
    assert not any("too short" in text for text in report.warnings)


def test_captions_and_sounds_that_do_not_meet(folders, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("name,text\nclip00,rain\nelsewhere,wind\n")
    report = score(folders, captions=path)
    said = "\n".join(report.warnings)
    assert "1 of 2 names in the captions are of sounds that are not there: elsewhere" in said
    assert "11 of 12 sounds have no caption, which no metric here needs: clip01, clip02" in said
    with pytest.raises(CaptionError, match="11 of 12 sounds have no caption"):
        score(folders, captions=path, protocol="audiocraft", metrics=["clap_score"])


def test_captions_that_the_card_does_not_score_are_said(folders, captions):
    said = "captions were given, and the protocol scores none: they are not used"
    assert said in score(folders, captions=captions).warnings
    assert said not in score(folders).warnings


def test_classes_of_no_sound_are_counted(folders, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [f"clip{i:02d},rain" for i in range(12)]
    path.write_text("\n".join(["name,class", *rows, ""]))
    assert not any("labels" in text for text in score(folders, labels=path).warnings)
    path.write_text("\n".join(["name,class", *rows, "b,wind", "a\x1b,wind", ""]))
    said = score(folders, labels=path).warnings
    text = r"2 of 14 names in the labels are of sounds that are not there: a\x1b, b"
    assert text in said


def test_a_class_cannot_write_over_the_table(folders, tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [{"name": f"clip{i:02d}", "class": "a\x1b[2J\nb"} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = score(folders, labels=path).to_text()
    assert "\x1b" not in text
    assert r"a\x1b[2J\nb" in text


def test_what_is_cut_off_is_said(folders):
    write_noise(folders[1] / "clip03.wav", seed=3, seconds=4.0)
    write_noise(folders[1] / "clip04.wav", seed=4, seconds=1.55)  # within what goes unsaid
    card = load_protocol("demo").changed("length", "cut")
    (said,) = [text for text in score(folders, protocol=card).warnings if "were cut" in text]
    assert said.startswith("1 of 12 generated sounds are longer than their reference, by 2.5000 s")
    assert said.endswith("clip03")


def test_all_that_cannot_be_scored_are_named(folders):
    for i in (2, 7, 11):
        soundfile.write(folders[1] / f"clip{i:02d}.wav", [0.0] * 24000, 16000)
    with pytest.raises(AudioError, match=r"clip02\.wav: silent.*\(3 of 12 .*: clip02, clip07, c"):
        score(folders, protocol="audiocraft")


def test_a_name_with_a_line_break_stays_on_one_line(folders, capsys):
    (folders[1] / "clip03.wav").rename(folders[1] / "clip\n03.wav")
    assert main([*map(str, folders)]) == 2
    (folders[0] / "clip03.wav").rename(folders[0] / "clip\n03.wav")
    (folders[0] / "clip\n03.wav").write_text("<html>")
    assert main([*map(str, folders)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert r"clip\n03" in said.splitlines()[1]
