import json

import numpy as np
import pytest

from audiogen.data.shards import TokenError, TokenShardWriter, read_header, read_items

FACTS = {
    "codec_hash": "c0",
    "manifest_hash": "m0",
    "sample_rate": 16000,
    "frame_rate": 50,
    "num_codebooks": 2,
    "codebook_size": 8,
    "segment_frames": 5,
}


def codes(n):
    return np.arange(n * 10, dtype=np.uint16).reshape(n, 2, 5) % 8


def item(name):
    return {"id": name, "captions": ["x"], "frames": 5, "split": "train"}


def test_round_trip(tmp_path):
    writer = TokenShardWriter(tmp_path / "t", facts=FACTS)
    assert not writer.has(0)
    writer.write(0, codes(2), [item("a"), item("b")])
    writer.write(1, codes(1), [item("c")], skipped=[{"id": "d", "reason": "gone"}])
    assert writer.has(0)
    writer.finish(num_shards=2)
    header = read_header(tmp_path / "t")
    assert header.items() >= (FACTS | {"format": "audiogen-tokens", "version": 1}).items()
    assert (header["complete"], header["num_shards"], header["num_items"]) == (True, 2, 3)
    rows = [(shard, row, found["id"]) for shard, row, found in read_items(tmp_path / "t", 2)]
    assert rows == [(0, 0, "a"), (0, 1, "b"), (1, 0, "c")]
    stored = np.load(tmp_path / "t" / "codes-00000.npy", mmap_mode="r")
    assert stored.dtype == np.uint16
    assert np.array_equal(stored, codes(2))
    skipped = (tmp_path / "t" / "skipped.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in skipped] == [{"id": "d", "reason": "gone"}]


def test_a_shard_without_its_lines_is_not_there(tmp_path):
    """Killed between the two files: the shard is made again."""
    writer = TokenShardWriter(tmp_path, facts=FACTS)
    writer.write(0, codes(1), [item("a")])
    (tmp_path / "items-00000.jsonl").unlink()
    assert not TokenShardWriter(tmp_path, facts=FACTS).has(0)


@pytest.mark.parametrize(
    ("key", "other"), [("codec_hash", "c1"), ("manifest_hash", "m1"), ("segment_frames", 6)]
)
def test_refuses_a_folder_of_something_else(tmp_path, key, other):
    TokenShardWriter(tmp_path, facts=FACTS)
    message = f"was begun with {key} {FACTS[key]}, now {key} is {other}; choose another folder"
    with pytest.raises(TokenError, match=message):
        TokenShardWriter(tmp_path, facts=FACTS | {key: other})


def test_refuses_codes_of_nobody(tmp_path):
    np.save(tmp_path / "codes-00000.npy", codes(1))
    with pytest.raises(TokenError, match=r"has codes but no tokens\.json"):
        TokenShardWriter(tmp_path, facts=FACTS)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (codes(2), r"expected codes uint16 \(1, 2, 5\), got uint16 \(2, 2, 5\)"),
        (codes(1).astype(np.int64), "got int64"),
    ],
)
def test_refuses_what_is_no_shard(tmp_path, array, message):
    writer = TokenShardWriter(tmp_path, facts=FACTS)
    with pytest.raises(TokenError, match=message):
        writer.write(0, array, [item("a")])
    assert not writer.has(0)


def test_codes_that_do_not_fit(tmp_path):
    with pytest.raises(TokenError, match="stored in 16 bits; 65537 do not fit"):
        TokenShardWriter(tmp_path, facts=FACTS | {"codebook_size": 2**16 + 1})


def test_nothing_at_all_is_an_error_and_tried_again(tmp_path):
    writer = TokenShardWriter(tmp_path, facts=FACTS)
    writer.write(0, codes(0), [], skipped=[{"id": "a", "reason": "disk not there"}])
    with pytest.raises(
        TokenError, match="none of 1 clips could be read; the first: disk not there"
    ):
        writer.finish(num_shards=1)
    assert not writer.has(0)


@pytest.mark.parametrize("text", [None, "{", '{"format": "else"}', "[]"])
def test_a_folder_without_a_header(tmp_path, text):
    if text is not None:
        (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(TokenError, match=r"tokens\.json"):
        read_header(tmp_path)


@pytest.mark.parametrize("key", ["codec_hash", "num_codebooks", "codebook_size", "num_shards"])
@pytest.mark.parametrize("value", [None, "x", 0])
def test_a_header_that_lacks_a_number(tmp_path, key, value):
    writer = TokenShardWriter(tmp_path, facts=FACTS)
    writer.write(0, codes(1), [item("a")])
    writer.finish(num_shards=1)
    header = json.loads((tmp_path / "tokens.json").read_text())
    if (key, value) == ("codec_hash", "x"):
        value = 1
    (tmp_path / "tokens.json").write_text(json.dumps(header | {key: value}))
    with pytest.raises(TokenError, match=rf"tokens\.json: damaged: {key} is missing or wrong"):
        read_header(tmp_path)
