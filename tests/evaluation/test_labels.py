import json
from pathlib import Path

import pytest

from evaluation.folders import Pair
from evaluation.labels import LabelError, check_labels, read_labels


def test_reads_the_table_that_comes_with_esc50(tmp_path):
    path = tmp_path / "esc50.csv"
    path.write_text("filename,fold,target,category\n1-100032-A-0.wav,1,0,dog\nb.wav,2,1,rain\n")
    assert read_labels(path) == {"1-100032-A-0": "dog", "b": "rain"}


def test_reads_json_lines_with_numbers_and_paths(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [{"file": "audio/a.flac", "class": 0}, {"id": "b", "label": "rain", "caption": "x"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_labels(path) == {"a": "0", "b": "rain"}


def test_a_sound_may_be_listed_twice_but_not_in_two_classes(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("name,class\na,dog\na.wav,dog\n")
    assert read_labels(path) == {"a": "dog"}
    path.write_text("name,class\na,dog\na.wav,cat\n")
    with pytest.raises(LabelError, match=r"labels\.csv:3: 'a' is of class 'dog' and of class"):
        read_labels(path)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("csv", "name,class\na,dog\nb,\n"),
        ("csv", "name,class\na,dog\n,dog\n"),
        ("csv", "name,class\na,dog\nb,  \n"),
        ("jsonl", '{"name": "a", "class": "dog"}\n\n{"name": "b"}\n'),
        ("jsonl", '{"name": "a", "class": "dog"}\n\n{"name": "b", "class": true}\n'),
        ("jsonl", '{"name": "a", "class": "dog"}\n\n{"name": "b", "class": ["dog"]}\n'),
        ("jsonl", '{"name": "a", "class": "dog"}\n\n{"name": 7, "class": "dog"}\n'),
        ("jsonl", '{"name": "a", "class": "dog"}\n\nnot json\n'),
    ],
)
def test_a_row_without_a_class_is_named_by_line(tmp_path, suffix, text):
    path = tmp_path / f"labels.{suffix}"
    path.write_text(text)
    with pytest.raises(LabelError, match=rf"labels\.{suffix}:3: expected a name under one of"):
        read_labels(path)


def test_files_that_are_missing_or_not_text(tmp_path):
    with pytest.raises(LabelError, match=r"label file .*labels\.csv does not exist"):
        read_labels(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_bytes(b"name,class\n\xff\xfe,\xff\n")
    with pytest.raises(LabelError, match="not UTF-8 text"):
        read_labels(tmp_path / "labels.csv")


def test_pairs_without_a_class_are_counted_and_named():
    pairs = [Pair(name=name, reference=Path("r"), generated=Path("g")) for name in "abc"]
    with pytest.raises(LabelError, match=r"2 of 3 sounds have no class in l\.csv: b, c"):
        check_labels(pairs, {"a": "dog"}, path=Path("l.csv"))
