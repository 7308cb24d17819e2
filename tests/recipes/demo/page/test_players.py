import base64
import json

import pytest

from recipes.demo.page.players import (
    LABELED,
    UNLABELED,
    choose,
    players_section,
    within_budget,
)
from recipes.page.inputs import MissingInputError, Run


def row(name, **labels):
    return {"file": f"{name}.wav", "caption": name, "labels": labels}


def test_chooses_first_and_last_of_each_family():
    rows = [row(f"{family}{n}", family=family) for n in range(3) for family in ("wind", "bell")]
    names = [r["caption"] for r in choose(rows, "family")]
    assert names == ["bell0", "wind0", "bell2", "wind2"]


def test_chooses_the_first_clips_where_there_are_no_labels():
    rows = [row(f"c{n}") for n in range(30)]
    assert choose(rows, None) == rows[:UNLABELED]
    assert len(choose([row(f"c{n}", family=str(n)) for n in range(60)], "family")) == LABELED


@pytest.mark.parametrize("file", ["../secret.wav", "/etc/passwd", "a\\b.wav", "..", None, 3])
def test_leaves_out_what_is_no_file_name(file):
    assert choose([row("good"), {"file": file, "caption": "x"}], None) == [row("good")]


def test_budget_keeps_whole_clips_in_order(tmp_path):
    (tmp_path / "reference").mkdir()
    for name, size in (("a", 60), ("b", 60), ("c", 30)):
        (tmp_path / "reference" / f"{name}.wav").write_bytes(b"x" * size)
    rows = [row(name) for name in "abc"]
    assert [r["caption"] for r in within_budget(rows, tmp_path, 100)] == ["a", "c"]
    assert within_budget(rows, tmp_path, 20) == []


def test_section(synthetic_run):
    section = players_section(synthetic_run)
    assert (section["label"], section["number"], len(section["clips"])) == ("family", 12, 12)
    panels = section["clips"][0]["panels"]
    assert [panel.folder for panel in panels] == [
        "reference", "roundtrip", "generated", "unguided",
    ]  # fmt: skip
    levels = [int(panel.level.split()[0]) for panel in panels]
    assert [levels[0] - level for level in levels] == pytest.approx([0, 6, 12, 18], abs=1)
    name = section["clips"][0]["name"]
    content = (synthetic_run.folder / "samples" / "roundtrip" / name).read_bytes()
    assert panels[1].sound == f"data:audio/wav;base64,{base64.b64encode(content).decode()}"


def test_files_that_cannot_be_heard_say_why(tmp_path):
    for folder, content in (("generated", b""), ("reference", b"no sound")):
        (tmp_path / "samples" / folder).mkdir(parents=True)
        (tmp_path / "samples" / folder / "a.wav").write_bytes(content)
    (tmp_path / "samples" / "captions.jsonl").write_text(json.dumps(row("a")) + "\n")
    (clip,) = players_section(Run(folder=tmp_path))["clips"]
    problems = {panel.folder: panel.problem for panel in clip["panels"]}
    assert problems["roundtrip"] == problems["unguided"] == "there is no such file"
    assert "not audio" in problems["reference"]
    assert problems["generated"]
    assert not any(panel.sound or panel.level for panel in clip["panels"])


def test_a_list_without_clips_is_no_section(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "captions.jsonl").write_text('{"n": 3}\n')
    with pytest.raises(MissingInputError, match="names no clip"):
        players_section(Run(folder=tmp_path))


def test_no_captions_no_section(tmp_path):
    with pytest.raises(MissingInputError, match=r"samples/captions\.jsonl"):
        players_section(Run(folder=tmp_path))
