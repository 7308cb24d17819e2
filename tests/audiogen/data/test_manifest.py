import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiogen.data.manifest import (
    Clip,
    ManifestError,
    manifest_hash,
    read_manifest,
    write_json_lines,
    write_manifest,
)

ROW = {
    "id": "a",
    "path": "audio/a.flac",
    "start": 0,
    "duration": 1.5,
    "captions": ["a dog"],
    "source": "mine",
    "licence": "CC0",
    "split": "train",
}


def clip(path=Path("audio/a.flac"), **changes):
    fields = {"id": "a", "path": path, "start": 0.0, "duration": 1.5, "captions": ("a dog",)}
    return Clip(**fields | {"source": "mine", "licence": "CC0", "split": "train"} | changes)


def write_lines(folder, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    return folder / "manifest.jsonl"


def test_round_trip(tmp_path):
    clips = [
        clip(tmp_path / "audio" / "a.flac"),
        clip(
            tmp_path / "b c.wav",
            id="é 雨",
            start=2.5,
            captions=(),
            labels={"class": "rain"},
            extra={"file": "b c.WAV", "n": [1]},
        ),
    ]
    path = write_manifest(tmp_path / "manifest.jsonl", clips)
    assert list(read_manifest(path)) == clips
    assert [json.loads(line)["path"] for line in path.read_text().splitlines()] == [
        "audio/a.flac",
        "b c.wav",
    ]
    first = path.read_bytes()
    write_manifest(path, read_manifest(path))
    assert path.read_bytes() == first


def test_moves_with_its_folder(tmp_path):
    write_manifest(tmp_path / "one" / "m.jsonl", [clip(tmp_path / "one" / "audio" / "a.flac")])
    (tmp_path / "one").rename(tmp_path / "two")
    assert (
        next(read_manifest(tmp_path / "two" / "m.jsonl")).path
        == tmp_path / "two" / "audio" / "a.flac"
    )


def test_reads_what_editors_leave_behind(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n\r\n  \n")
    assert [c.start for c in read_manifest(path)] == [0.0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "not JSON"),
        ('{"id": "a"', "not JSON"),
        ("[" * 100000, "not JSON .*recursion"),
        (json.dumps(ROW).replace("1.5", "1" + "0" * 400), "duration must be a finite number"),
        (ROW | {"source": "\ud800"}, "not JSON .*surrogates"),
        ("[1, 2]", "expected an object"),
        ({k: v for k, v in ROW.items() if k not in ("id", "licence")}, "missing id, licence"),
        (ROW | {"caption": ["x"]}, 'unknown key "caption"; did you mean "captions"?'),
        (ROW | {"zzz": 1}, 'unknown key "zzz"; put what is not for us under "extra"'),
        (ROW | {"id": 7}, "id must be text, got 7"),
        (ROW | {"id": "a/b"}, "id must be 1 to 200 printable characters without slashes"),
        (ROW | {"id": "."}, "id must be"),
        (ROW | {"start": "0"}, "start must be a finite number of seconds, 0 or more, got '0'"),
        (ROW | {"start": -0.5}, "start must be"),
        (ROW | {"start": True}, "start must be"),
        (ROW | {"duration": 0}, "duration must be a finite number of seconds, more than 0, got 0"),
        (json.dumps(ROW | {"duration": math.nan}), "NaN is not a number JSON knows"),
        (json.dumps(ROW | {"duration": math.inf}), "Infinity is not a number JSON knows"),
        (json.dumps(ROW).replace("1.5", "1e999"), "duration must be a finite number"),
        (ROW | {"captions": "a dog"}, "captions must be a list of text"),
        (ROW | {"captions": ["a dog", None]}, "captions must be text"),
        (
            ROW | {"captions": [" "]},
            r"captions must be text, each with something in it \(\[\] for none\)",
        ),
        (ROW | {"captions": ["x" * 2001]}, "a caption has 2001 characters, at most 2000"),
        (ROW | {"split": "dev"}, "split must be one of train, valid, test, got 'dev'"),
        (ROW | {"labels": {"class": 3}}, r"labels\['class'\] must be text, got 3"),
        (ROW | {"labels": ["dog"]}, "labels must be an object"),
        (ROW | {"path": 3}, "path must be text, got 3"),
        (ROW | {"path": "/etc/x.wav"}, "leads out of the manifest's folder"),
        (ROW | {"path": "../x.wav"}, "leads out of the manifest's folder"),
        (ROW | {"path": "audio/../../x.wav"}, "leads out of the manifest's folder"),
        (ROW | {"path": "link/x.wav"}, "outside the folder of the manifest"),
        (ROW | {"id": "first"}, 'id "first" was already used in line 1'),
    ],
)
def test_names_file_and_line(tmp_path, bad, message):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(outside)
    path = write_lines(tmp_path / "in", ROW | {"id": "first"}, "", bad)
    with pytest.raises(ManifestError, match=message) as caught:
        list(read_manifest(path))
    assert str(caught.value).startswith(f"{path}:3: ")


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(json.dumps(ROW).encode() + b"\n\xff\xfe\n")
    with pytest.raises(ManifestError, match=r"m\.jsonl:2: not JSON"):
        list(read_manifest(tmp_path / "m.jsonl"))


def test_missing_manifest(tmp_path):
    with pytest.raises(ManifestError, match=r"no\.jsonl: cannot be read \(No such file"):
        list(read_manifest(tmp_path / "no.jsonl"))


@pytest.mark.parametrize("place", ["outside", "linked"])
def test_does_not_write_paths_that_lead_out(tmp_path, place):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path)
    path = tmp_path / "a.wav" if place == "outside" else folder / "linked" / "a.wav"
    with pytest.raises(ManifestError, match=r"m\.jsonl:2: path .* outside the folder"):
        write_manifest(folder / "m.jsonl", [clip(folder / "a.wav"), clip(path, id="b")])
    assert not (folder / "m.jsonl").exists()


def test_does_not_write_an_id_twice(tmp_path):
    with pytest.raises(ManifestError, match=r'm\.jsonl:2: id "a" was already used in line 1'):
        write_manifest(tmp_path / "m.jsonl", [clip(tmp_path / "a.wav")] * 2)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_manifest(tmp_path):
    path = write_manifest(tmp_path / "m.jsonl", [clip(tmp_path / "a.wav")])
    old = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json_lines(path, [{"x": 1.0}, {"x": math.nan}])
    assert path.read_bytes() == old


def test_hash_is_that_of_the_content(tmp_path):
    path = write_manifest(tmp_path / "m.jsonl", [clip(tmp_path / "a.wav")])
    first = manifest_hash(path)
    assert len(first) == 64
    write_manifest(path, [clip(tmp_path / "a.wav", captions=("a cat",))])
    assert manifest_hash(path) != first


@given(
    text=st.text(min_size=1, max_size=50).filter(lambda t: t.strip() and t.isprintable()),
    start=st.floats(0, 1e6),
    duration=st.floats(1e-3, 1e6),
)
def test_any_text_and_time_come_back(tmp_path_factory, text, start, duration):
    folder = tmp_path_factory.mktemp("m")
    clips = [
        clip(folder / "a.wav", start=start, duration=duration, captions=(text,), extra={"t": text})
    ]
    assert list(read_manifest(write_manifest(folder / "m.jsonl", clips))) == clips
