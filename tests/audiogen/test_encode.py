import json
import math
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from audiogen.audio import read_audio, write_audio
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, write_manifest
from audiogen.data.segments import cut
from audiogen.data.shards import read_header
from audiogen.data.tokens import TokenDataset, TokenError
from audiogen.encode import encode_manifest

RATE = 1600
SETTINGS = {"segment_duration": 0.5, "batch_size": 2, "shard_size": 3, "progress": False}


def make_codec(seed=0, **changes):
    """A codec of 40 samples per frame: 40 frames per second."""
    torch.manual_seed(seed)
    settings = {"dimension": 8, "num_filters": 2, "ratios": (5, 4, 2), "lstm_layers": 0}
    settings |= {"num_codebooks": 2, "codebook_size": 16, "kmeans_init": False}
    return Codec(sample_rate=RATE, **settings | changes).eval()


def make_clip(folder, name, seconds, **changes):
    path = folder / "audio" / f"{name}.wav"
    if not path.exists():
        generator = torch.Generator().manual_seed(len(name) + round(1000 * seconds))
        write_audio(path, 0.3 * torch.rand(round(seconds * RATE), generator=generator), RATE)
    fields = {"start": 0.0, "duration": seconds, "captions": (f"sound {name}",), "source": "test"}
    fields |= {"licence": "CC0", "split": "train", "labels": {"class": name}}
    return Clip(id=name, path=path, **fields | changes)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    clips = [make_clip(folder, f"c{n}", 0.5) for n in range(6)]
    clips.append(make_clip(folder, "long", 1.2, split="valid"))
    clips.append(make_clip(folder, "short", 0.26))
    return write_manifest(folder / "manifest.jsonl", clips)


@pytest.fixture(scope="module")
def undisturbed(manifest, tmp_path_factory):
    return encode_manifest(
        make_codec(), manifest, tmp_path_factory.mktemp("a") / "tokens", **SETTINGS
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def items(folder):
    paths = sorted(folder.glob("items-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_codes_are_those_of_the_codec(manifest, undisturbed):
    codec = make_codec()
    waveform, _ = read_audio(manifest.parent / "audio" / "c4.wav")
    with torch.no_grad():
        expected, _ = codec.encode(waveform[None])
    data = TokenDataset(
        undisturbed, split="train", seed=0, codec_hash=codec.fingerprint(), fixed=True
    )
    assert torch.equal(data[4]["codes"], expected[0])
    assert data[4]["caption"] == "sound c4"


def test_long_clips_give_consecutive_segments(manifest, undisturbed):
    codec = make_codec()
    data = TokenDataset(undisturbed, split="valid", seed=0, fixed=True)
    for number, start in enumerate([0.0, 0.5, 1.0]):
        part, _ = read_audio(manifest.parent / "audio" / "long.wav", start=start, duration=0.5)
        size = part.shape[1]
        with torch.no_grad():
            codes, _ = codec.encode(torch.nn.functional.pad(part, (0, 800 - size))[None])
        frames = -(-size // 40)
        item = data[number]
        assert item["frames"] == frames
        assert torch.equal(item["codes"][:, :frames], codes[0, :, :frames])
        assert not item["codes"][:, frames:].any()


def test_what_is_written_beside_the_codes(undisturbed):
    rows = items(undisturbed)
    assert [row["id"] for row in rows[5:]] == ["c5", "long#0", "long#1", "long#2", "short"]
    assert rows[9] == {
        "id": "short",
        "captions": ["sound short"],
        "frames": 11,
        "split": "train",
        "labels": {"class": "short"},
        "licence": "CC0",
        "source": "test",
    }
    header = read_header(undisturbed)
    assert header["codec_hash"] == make_codec().fingerprint()
    assert (header["sample_rate"], header["frame_rate"], header["segment_frames"]) == (1600, 40, 20)
    assert (header["num_codebooks"], header["codebook_size"], header["num_items"]) == (2, 16, 10)


def test_stored_in_sixteen_bits_and_shards(undisturbed):
    shards = [np.load(path) for path in sorted(undisturbed.glob("codes-*.npy"))]
    assert [shard.shape for shard in shards] == [(3, 2, 20)] * 3 + [(1, 2, 20)]
    assert all(shard.dtype == np.uint16 for shard in shards)


@pytest.mark.parametrize("changes", [{"num_workers": 1}, {"progress": True}])
def test_how_it_runs_does_not_change_a_byte(manifest, undisturbed, tmp_path, changes):
    encode_manifest(make_codec(), manifest, tmp_path, **SETTINGS | changes)
    assert contents(tmp_path) == contents(undisturbed)


def test_the_bar_is_for_people(manifest, tmp_path, capsys):
    encode_manifest(make_codec(), manifest, tmp_path, **SETTINGS | {"progress": True})
    out, err = capsys.readouterr()
    assert out == ""
    assert "10/10" in err


def encode_slowly(manifest, out):
    codec = make_codec()
    encode = codec.encode

    def slow(waveform):
        time.sleep(0.1)
        return encode(waveform)

    codec.encode = slow
    encode_manifest(codec, manifest, out, **SETTINGS)


@pytest.mark.parametrize("last", ["items-00000.jsonl", "codes-00001.npy"])
def test_a_killed_run_goes_on_to_the_same_bytes(manifest, undisturbed, tmp_path, last):
    out = tmp_path / "tokens"
    process = multiprocessing.get_context("fork").Process(
        target=encode_slowly, args=(manifest, out)
    )
    process.start()
    deadline = time.monotonic() + 30
    while not (out / last).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (out / "items-00003.jsonl").exists()
    with pytest.raises(TokenError, match="encoding was interrupted"):
        TokenDataset(out, split="train", seed=0)
    kept = (out / "items-00000.jsonl").stat().st_mtime_ns
    encode_manifest(make_codec(), manifest, out, **SETTINGS)
    assert contents(out) == contents(undisturbed)
    assert (out / "items-00000.jsonl").stat().st_mtime_ns == kept


def test_a_finished_folder_needs_no_sounds(manifest, undisturbed, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr("audiogen.data.segments.read_clip", refuse)
    before = contents(undisturbed)
    assert encode_manifest(make_codec(), manifest, undisturbed, **SETTINGS) == undisturbed
    assert contents(undisturbed) == before


@pytest.mark.parametrize(
    ("codec", "changes", "key"),
    [
        (1, {}, "codec_hash"),
        (0, {"segment_duration": 0.25}, "segment_frames"),
        (0, {"shard_size": 4}, "shard_size"),
    ],
)
def test_refuses_the_folder_of_another_run(manifest, undisturbed, codec, changes, key):
    before = contents(undisturbed)
    with pytest.raises(TokenError, match=f"was begun with {key}"):
        encode_manifest(make_codec(codec), manifest, undisturbed, **SETTINGS | changes)
    assert contents(undisturbed) == before


def test_refuses_the_folder_of_another_manifest(manifest, undisturbed):
    other = write_manifest(
        manifest.with_name("other.jsonl"), [make_clip(manifest.parent, "c0", 0.5)]
    )
    with pytest.raises(TokenError, match="was begun with manifest_hash"):
        encode_manifest(make_codec(), other, undisturbed, **SETTINGS)


def test_unreadable_clips_are_left_out_and_listed(tmp_path, caplog):
    clips = [make_clip(tmp_path, f"c{n}", 0.5) for n in range(5)]
    clips[1].path.write_text("<html>")
    clips[3].path.unlink()
    clips.append(make_clip(tmp_path, "cut", 0.5))
    clips[5].path.write_bytes(clips[5].path.read_bytes()[: clips[5].path.stat().st_size // 2])
    manifest = write_manifest(tmp_path / "manifest.jsonl", clips)
    out = encode_manifest(make_codec(), manifest, tmp_path / "tokens", **SETTINGS)
    assert [row["id"] for row in items(out)] == ["c0", "c2", "c4"]
    skipped = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert [row["id"] for row in skipped] == ["c1", "c3", "cut"]
    assert "it is a web page" in skipped[0]["reason"]
    assert "no such file" in skipped[1]["reason"]
    assert "before the clip does" in skipped[2]["reason"]
    assert read_header(out)["num_skipped"] == 3
    assert "3 clips left out" in caplog.text


def test_nothing_readable_is_an_error(tmp_path):
    clip = make_clip(tmp_path, "c0", 0.5)
    clip.path.unlink()
    manifest = write_manifest(tmp_path / "manifest.jsonl", [clip])
    with pytest.raises(
        TokenError, match=r"none of 1 clips could be read; the first: .*no such file"
    ):
        encode_manifest(make_codec(), manifest, tmp_path / "tokens", **SETTINGS)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0.2, [0.2]),
        (0.5, [0.5]),
        (1.0, [0.5, 0.5]),
        (1.04, [0.5, 0.5]),
        (1.06, [0.5, 0.5, 0.06]),
        (0.54, [0.5]),
    ],
)
def test_cut(tmp_path, duration, expected):
    clip = make_clip(tmp_path, "x", 2.0, start=0.1, duration=duration)
    segments = cut(clip, 0.5)
    assert [segment.duration for segment in segments] == pytest.approx(expected)
    assert [s.start for s in segments] == pytest.approx(
        [0.1 + 0.5 * n for n in range(len(expected))]
    )
    assert len({segment.id for segment in segments}) == len(expected)


def test_refusals(tmp_path, manifest):
    with pytest.raises(ValueError, match="renormalize=True needs a scale"):
        encode_manifest(make_codec(renormalize=True), manifest, tmp_path / "t", **SETTINGS)
    with pytest.raises(ValueError, match=r"must be positive, got 0\.5, 0 and 3"):
        encode_manifest(make_codec(), manifest, tmp_path / "t", **SETTINGS | {"batch_size": 0})
    for wrong in (math.nan, math.inf, "long"):
        with pytest.raises(ValueError, match=f"must be positive, got {wrong}, "):
            encode_manifest(
                make_codec(), manifest, tmp_path / "t", **SETTINGS | {"segment_duration": wrong}
            )
    with pytest.raises(ValueError, match="num_workers must be 0 or more, got -1"):
        encode_manifest(make_codec(), manifest, tmp_path / "t", **SETTINGS, num_workers=-1)
    with pytest.raises(ValueError, match=r"device nope cannot be used \(Expected one of cpu"):
        encode_manifest(make_codec(), manifest, tmp_path / "t", **SETTINGS, device="nope")
    assert not (tmp_path / "t").exists()
    empty = write_manifest(tmp_path / "empty.jsonl", [])
    with pytest.raises(ValueError, match=r"empty\.jsonl: no clips"):
        encode_manifest(make_codec(), empty, tmp_path / "t", **SETTINGS)


def test_the_codec_goes_on_training(manifest, tmp_path):
    codec = make_codec().train()
    encode_manifest(codec, manifest, tmp_path, **SETTINGS)
    assert codec.training


def test_silence_is_marked_and_said_to_whoever_trains_on_it(tmp_path, caplog):
    clips = [make_clip(tmp_path, name, 0.5) for name in "ab"]
    write_audio(clips[1].path, torch.zeros(800), RATE)
    manifest = write_manifest(tmp_path / "manifest.jsonl", clips)
    out = encode_manifest(make_codec(), manifest, tmp_path / "codes", **SETTINGS)
    lines = (out / "items-00000.jsonl").read_text().splitlines()
    assert ["silent" in json.loads(line) for line in lines] == [False, True]
    assert len(TokenDataset(out, split="train", seed=0)) == 2
    assert "1 of 2 segments are silence" in caplog.text
