import json

from audiogen.data.manifest import Clip, write_manifest
from recipes.demo.page.corpus import SHOWN, UNLABELED, corpus_section
from recipes.page.inputs import Run


def write(run, specs):
    clips = [
        Clip(
            id=f"c{number}",
            path=run / "data" / "a.flac",
            start=0.0,
            duration=1.5,
            captions=("a sound",) if number else (),
            source=source,
            licence=licence,
            split=split,
            labels={"class": name} if name else {},
        )
        for number, (split, name, source, licence) in enumerate(specs)
    ]
    write_manifest(run / "data" / "manifest.jsonl", clips)


def test_counts_sources_and_durations(tmp_path):
    (tmp_path / "data").mkdir()
    write(
        tmp_path,
        [
            ("train", "dog", "one", "CC0-1.0"),
            ("train", "cat", "one", "CC0-1.0"),
            ("test", "dog", "one", "CC-BY-4.0"),
            ("valid", None, "two", "unknown"),
        ],
    )
    section = corpus_section(Run(folder=tmp_path))
    rows = {row["name"]: (row["counts"], row["sum"]) for row in section["counts"]}
    assert rows == {
        "cat": ([1, 0, 0], 1), "dog": ([1, 0, 1], 2), UNLABELED: ([0, 1, 0], 1),
    }  # fmt: skip
    assert list(rows)[-1] == UNLABELED
    assert section["total"]["counts"] == [2, 1, 1]
    assert section["seconds"] == {"train": 3.0, "valid": 1.5, "test": 1.5}
    assert (section["number"], section["captioned"]) == (4, 3)
    assert ("one", "CC0-1.0", 2) in section["origins"]
    assert section["skipped"]["number"] is None


def test_lists_skipped_files_with_reasons(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "tokens").mkdir()
    write(tmp_path, [("train", None, "own", "unknown")])
    (tmp_path / "data" / "skipped.jsonl").write_text(
        "".join(json.dumps({"file": f"{n}.wav", "reason": "empty"}) + "\n" for n in range(SHOWN))
    )
    (tmp_path / "tokens" / "skipped.jsonl").write_text(
        json.dumps({"id": "x", "reason": "cut short"}) + "\n"
    )
    section = corpus_section(Run(folder=tmp_path))
    assert (section["label"], section["counts"]) == (None, [])
    skipped = section["skipped"]
    assert (skipped["number"], len(skipped["rows"]), skipped["more"]) == (SHOWN + 1, SHOWN, 1)
    assert skipped["rows"][0] == ("0.wav", "empty")
