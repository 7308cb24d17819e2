import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from audiogen.data.sampler import EndlessSampler
from audiogen.data.shards import TokenShardWriter
from audiogen.data.tokens import TokenDataset, TokenError, collate_tokens

FACTS = {
    "codec_hash": "c0",
    "manifest_hash": "m0",
    "sample_rate": 16000,
    "frame_rate": 50,
    "num_codebooks": 3,
    "codebook_size": 1024,
    "segment_frames": 4,
}
CAPTIONS = [["one"], [], ["a", "b", "c"], ["one"], ["one"], ["one"]]
SPLITS = ["train", "train", "train", "valid", "train", "train"]
FRAMES = [4, 2, 4, 4, 1, 4]


def write_folder(folder, complete=True):
    """Six items in two shards; codebook k of item n holds 100 n + 10 k + t."""
    grid = 100 * np.arange(6)[:, None, None] + 10 * np.arange(3)[:, None] + np.arange(4)
    codes = grid.astype(np.uint16)
    items = [
        {"id": str(n), "captions": CAPTIONS[n], "frames": FRAMES[n], "split": SPLITS[n]}
        for n in range(6)
    ]
    writer = TokenShardWriter(folder, facts=FACTS)
    writer.write(0, codes[:4], items[:4])
    writer.write(1, codes[4:], items[4:])
    if complete:
        writer.finish(num_shards=2)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tokens"))


def number(item):
    return int(item["codes"][0, 0]) // 100


def test_items_in_order(folder):
    data = TokenDataset(folder, split="train", seed=0, codec_hash="c0", fixed=True)
    items = [data[i] for i in range(len(data))]
    assert [number(item) for item in items] == [0, 1, 2, 4, 5]
    assert [item["caption"] for item in items] == ["one", None, "a", "one", "one"]
    assert [item["frames"] for item in items] == [4, 2, 4, 1, 4]
    assert items[3]["codes"].tolist() == [[400 + 10 * k + t for t in range(4)] for k in range(3)]
    assert items[3]["codes"].dtype == torch.int64


def test_first_codebooks_only(folder):
    data = TokenDataset(folder, split="valid", seed=0, num_codebooks=2)
    assert data[0]["codes"].tolist() == [[300, 301, 302, 303], [310, 311, 312, 313]]


def test_every_epoch_shows_all_and_captions_vary(folder):
    data = TokenDataset(folder, split="train", seed=0)
    for epoch in range(3):
        assert {number(data[5 * epoch + i]) for i in range(5)} == {0, 1, 2, 4, 5}
    captions = [data[i]["caption"] for i in range(300) if number(data[i]) == 2]
    assert {caption: captions.count(caption) > 8 for caption in captions} == {
        "a": True,
        "b": True,
        "c": True,
    }


def test_an_item_is_a_function_of_seed_and_number(folder):
    one, two = (
        TokenDataset(folder, split="train", seed=4),
        TokenDataset(folder, split="train", seed=4),
    )
    forwards = [(number(one[i]), one[i]["caption"]) for i in range(30)]
    backwards = [(number(two[i]), two[i]["caption"]) for i in reversed(range(30))]
    assert forwards == backwards[::-1]
    other = TokenDataset(folder, split="train", seed=5)
    assert forwards != [(number(other[i]), other[i]["caption"]) for i in range(30)]


def test_crops_are_pieces_of_their_rows_and_everywhere_in_them(folder):
    data = TokenDataset(folder, split="train", seed=0, crop_frames=2)
    whole = TokenDataset(folder, split="train", seed=0)
    assert data.header["segment_frames"] == 2
    assert whole.header["segment_frames"] == 4
    begins = set()
    for index in range(60):
        item, row = data[index], whole[index]
        begin = int(item["codes"][0, 0]) % 10
        assert torch.equal(item["codes"], row["codes"][:, begin : begin + 2])
        assert item["frames"] == min(2, row["frames"] - begin)
        assert item["caption"] == row["caption"]
        begins.add((row["frames"], begin))
        assert torch.equal(data[index]["codes"], item["codes"])
    assert begins == {(4, 0), (4, 1), (4, 2), (2, 0), (1, 0)}
    batch = collate_tokens([data[index] for index in range(5)])
    assert batch["codes"].shape == batch["code_mask"].shape == (5, 3, 2)
    assert batch["code_mask"].all(dim=1).sum() == 2 + 2 + 2 + 2 + 1


def test_fixed_crops_are_the_beginnings(folder):
    data = TokenDataset(folder, split="train", seed=0, crop_frames=3, fixed=True)
    assert all(int(data[i]["codes"][0, 0]) % 100 == 0 for i in range(5))


@pytest.mark.parametrize("frames", [0, 5, -1])
def test_refuses_crops_that_are_longer_than_segments(folder, frames):
    with pytest.raises(TokenError, match=f"segments have 4 frames, asked for crops of {frames}"):
        TokenDataset(folder, split="train", seed=0, crop_frames=frames)


def test_lower_case_on_request(folder):
    data = TokenDataset(folder, split="train", seed=0, fixed=True, lower_case=True)
    data.rows[0] = (*data.rows[0][:3], ["A Dog"], {})
    assert data[0]["caption"] == "a dog"
    assert data[1]["caption"] is None


def test_labels_become_attributes_on_request(tmp_path):
    """As a data set of whose items one has no label."""
    path = write_folder(tmp_path) / "items-00000.jsonl"
    labelled = b'{"labels": {"class": "dog"}, "id": "0"'
    rewrite(path, lambda b: b.replace(b'{"id": "0"', labelled))
    data = TokenDataset(tmp_path, split="train", seed=0, fixed=True, attributes={"kind": "class"})
    assert data[0]["caption"] == {"description": "one", "kind": "dog"}
    assert data[1]["caption"] == {"description": None, "kind": None}
    with pytest.raises(ValueError, match=r"label 'clas', which no clip has .* choose from class"):
        TokenDataset(tmp_path, split="train", seed=0, attributes={"kind": "clas"})
    with pytest.raises(ValueError, match=r"'description', which .* is the caption"):
        TokenDataset(tmp_path, split="train", seed=0, attributes={"description": "class"})


def test_collate(folder):
    data = TokenDataset(folder, split="train", seed=0, fixed=True)
    batch = collate_tokens([data[1], data[2]])
    assert batch["codes"].shape == (2, 3, 4)
    assert batch["code_mask"].tolist() == [[[True, True, False, False]] * 3, [[True] * 4] * 3]
    assert batch["captions"] == [None, "a"]
    assert batch["index"].tolist() == [1, 2]


def test_only_the_file_names_travel_to_workers(folder):
    data = TokenDataset(folder, split="train", seed=0)
    size = len(pickle.dumps(data))
    data[0], data[4]
    assert len(pickle.dumps(data)) == size
    assert torch.equal(pickle.loads(pickle.dumps(data))[0]["codes"], data[0]["codes"])


def test_keeps_few_files_open(folder, monkeypatch):
    monkeypatch.setattr("audiogen.data.tokens._MAX_OPEN", 1)
    data = TokenDataset(folder, split="train", seed=0, fixed=True)
    assert [number(data[i]) for i in (0, 4, 0, 4)] == [0, 5, 0, 5]
    assert len(data._shards) == 1


@pytest.mark.parametrize("num_workers", [0, 1])
def test_training_resumes_to_the_item(folder, num_workers):
    def loader():
        data = TokenDataset(folder, split="train", seed=0)
        return StatefulDataLoader(
            data,
            batch_size=2,
            sampler=EndlessSampler(),
            num_workers=num_workers,
            collate_fn=collate_tokens,
        )

    def run(batches, count):
        return [
            (b["codes"].tolist(), b["captions"], b["index"].tolist())
            for b in islice(batches, count)
        ]

    whole = run(iter(loader()), 8)
    first = loader()
    run(iter(first), 2)
    second = loader()
    second.load_state_dict(first.state_dict())
    assert run(iter(second), 6) == whole[2:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"codec_hash": "c1"},
            "its codes are of codec c0, the model's codec is c1, .* scripts/encode_tokens.py",
        ),
        ({"num_codebooks": 4}, "has 3 codebooks, asked for 4"),
        ({"split": "test"}, 'no item has split "test"'),
    ],
)
def test_refuses_what_does_not_fit(folder, arguments, message):
    with pytest.raises(TokenError, match=message):
        TokenDataset(folder, **{"split": "train", "seed": 0} | arguments)


def test_refuses_what_is_not_whole(tmp_path):
    write_folder(tmp_path, complete=False)
    with pytest.raises(TokenError, match="encoding was interrupted; run it again"):
        TokenDataset(tmp_path, split="train", seed=0)
    write_folder(tmp_path)
    (tmp_path / "codes-00001.npy").unlink()
    with pytest.raises(TokenError, match="shard 1 of 2 is missing"):
        TokenDataset(tmp_path, split="train", seed=0)


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


def save(change):
    return lambda path: np.save(path, change(np.load(path)))


DAMAGE = {
    "codes cut": ("codes-00001.npy", lambda p: rewrite(p, lambda b: b[:-8]), "npy: damaged"),
    "codes cut early": ("codes-00001.npy", lambda p: rewrite(p, lambda b: b[:40]), "npy: damaged"),
    "codes empty": ("codes-00001.npy", lambda p: rewrite(p, lambda b: b""), "npy: damaged"),
    "a web page": ("codes-00001.npy", lambda p: rewrite(p, lambda b: b"<html>"), "npy: damaged"),
    "fewer rows": ("codes-00000.npy", save(lambda c: c[:-1]), r"expected codes uint16 \(4, 3, 4\)"),
    "other type": ("codes-00000.npy", save(lambda c: c.astype(np.float32)), "got float32"),
    "a line gone": (
        "items-00000.jsonl",
        lambda p: rewrite(p, lambda b: b.split(b"\n", 1)[1]),
        r"expected codes uint16 \(3, 3, 4\), got uint16 \(4, 3, 4\)",
    ),
    "no JSON": (
        "items-00001.jsonl",
        lambda p: rewrite(p, lambda b: b.replace(b"{", b"", 1)),
        r"items-00001\.jsonl:1: damaged",
    ),
    "a key gone": (
        "items-00001.jsonl",
        lambda p: rewrite(p, lambda b: b.replace(b'"split"', b'"spilt"')),
        r"items-00001\.jsonl:1: damaged \(expected an object with captions, frames, split",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_when_the_folder_is_opened(tmp_path, kind):
    name, spoil, message = DAMAGE[kind]
    spoil(write_folder(tmp_path / "t") / name)
    with pytest.raises(TokenError, match=message + r".*; delete the folder and encode again"):
        TokenDataset(tmp_path / "t", split="train", seed=0)


def test_codes_and_lengths_beyond_their_bounds(tmp_path):
    save(lambda codes: codes + np.uint16(1000))(write_folder(tmp_path / "a") / "codes-00000.npy")
    data = TokenDataset(tmp_path / "a", split="train", seed=0, fixed=True)
    assert data[0]["codes"].max() == 1023
    with pytest.raises(TokenError, match=r"row 1 is damaged: its codes reach 1123 .*1024 codes"):
        data[1]
    path = write_folder(tmp_path / "b") / "items-00000.jsonl"
    rewrite(path, lambda b: b.replace(b'"frames": 2', b'"frames": 9'))
    with pytest.raises(TokenError, match=r"row 1 is damaged: .* 9 frames"):
        TokenDataset(tmp_path / "b", split="train", seed=0, fixed=True)[1]
