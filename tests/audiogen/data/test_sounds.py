import logging
import math
import pickle
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import soundfile
import torch

from audiogen.audio import read_clip, write_audio
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, read_manifest, write_manifest
from audiogen.data.mixing import Mixing
from audiogen.data.sounds import SoundDataset, UnreadableError, collate_sounds
from audiogen.data.tokens import TokenDataset
from audiogen.data.waveforms import WaveformDataset
from audiogen.encode import encode_manifest
from audiogen.training.data import EndlessLoader

RATE = 1600
SETTINGS = {"split": "train", "sample_rate": RATE, "segment_duration": 0.5, "seed": 7}
LENGTHS = [1.0, 1.7, 0.5, 0.2, 2.03, 0.8]
CAPTIONS = [("A Dog",), (), ("rain", "it rains", "drops on a roof"), ("bell",), ("x", "y"), ("z",)]


def noise(seconds, seed, rate=RATE, channels=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(channels, round(seconds * rate), generator=generator).clamp(-3, 3)


def write_clips(folder, lengths=LENGTHS, captions=CAPTIONS, **changes):
    """Clips of noise; the second is stereo at another rate, the fifth lies within its file."""
    clips = []
    for number, length in enumerate(lengths):
        path = folder / "audio" / f"{number}.wav"
        inside = number == 4
        odd = {"rate": 2205, "channels": 2} if number == 1 else {}
        write_audio(path, noise(length + inside, number, **odd), odd.get("rate", RATE))
        clip = Clip(
            id=str(number),
            path=path,
            start=float(inside),
            duration=length,
            captions=captions[number],
            source="test",
            licence="CC0",
            split="train",
        )
        clips.append(replace(clip, **changes))
    return write_manifest(folder / "manifest.jsonl", clips)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def codec():
    """40 samples per frame: 40 frames per second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"dimension": 8, "num_filters": 2, "ratios": (5, 4, 2), "lstm_layers": 0}
        settings |= {"num_codebooks": 2, "codebook_size": 16, "kmeans_init": False}
        return Codec(sample_rate=RATE, **settings).eval()


@pytest.fixture(scope="module")
def folder(manifest, codec, tmp_path_factory):
    out = tmp_path_factory.mktemp("codes") / "folder"
    sizes = {"segment_duration": 0.5, "batch_size": 2, "shard_size": 3, "progress": False}
    return encode_manifest(codec, manifest, out, **sizes)


def test_items(manifest):
    data = SoundDataset(manifest, **SETTINGS)
    assert len(data) == 6
    item = data[3]
    assert item["waveform"].shape == (1, 800)
    assert item["waveform"].dtype == torch.float32
    assert (item["index"], item["replaced"]) == (3, 0)
    short = next(data[i] for i in range(6) if data[i]["caption"] == "bell")
    assert short["num_samples"] == 320
    assert not short["waveform"][:, 320:].any()


def test_fixed_segments_are_to_the_bit_what_encoding_reads(manifest, codec, monkeypatch):
    """The waveforms that reach the codec, against the items, in order."""
    seen = []

    def encode(waveform):
        seen.append(waveform.clone())
        return torch.zeros(len(waveform), 2, 20, dtype=torch.long), None

    monkeypatch.setattr(codec, "encode", encode)
    data = SoundDataset(manifest, **SETTINGS, fixed=True)
    out = manifest.parent / "spied"
    sizes = {"segment_duration": 0.5, "batch_size": 2, "shard_size": 3, "progress": False}
    encode_manifest(codec, manifest, out, **sizes)
    read = torch.cat(seen)
    assert len(data) == len(read) == 2 + 4 + 1 + 1 + 4 + 2
    assert torch.equal(torch.stack([data[i]["waveform"] for i in range(len(data))]), read)
    items = TokenDataset(out, split="train", seed=0, fixed=True)
    for number in range(len(data)):
        frames = math.ceil(data[number]["num_samples"] / codec.hop_length)
        assert frames == items[number]["frames"]
        assert data[number]["caption"] == items[number]["caption"]


def codes_of(codec, batch):
    """What the module makes of a batch: see `audiogen.training.lm_batches.encode_sounds`."""
    with torch.inference_mode():
        codes, _ = codec.encode(batch["waveform"])
    frames = -(-batch["num_samples"] // codec.hop_length)
    return codes * (torch.arange(codes.shape[-1]) < frames[:, None, None])


@pytest.mark.parametrize("fixed", [False, True])
def test_by_segment_the_items_are_those_of_the_folder_of_codes(manifest, folder, codec, fixed):
    """Codes, captions and order of three passes: the losses are then the same."""
    sounds = SoundDataset(manifest, **SETTINGS, sample_by="segment", fixed=fixed)
    tokens = TokenDataset(folder, split="train", seed=SETTINGS["seed"], fixed=fixed)
    assert len(sounds) == len(tokens) == 14
    for first in range(0, 42, 7):
        numbers = range(first, first + 7)
        batch = collate_sounds([sounds[i] for i in numbers])
        assert torch.equal(
            codes_of(codec, batch), torch.stack([tokens[i]["codes"] for i in numbers])
        )
        assert batch["captions"] == [tokens[i]["caption"] for i in numbers]


def test_random_crops_are_pieces_of_their_clips(manifest):
    data = SoundDataset(manifest, **SETTINGS)
    whole = {clip.id: clip for clip in read_manifest(manifest)}
    seen = set()
    for index in range(24):
        segment = data._choose(index, 0)
        clip = whole[segment.id]
        seen.add(clip.id)
        assert clip.start <= segment.start
        assert segment.start + segment.duration <= clip.start + clip.duration + 1e-9
        expected = read_clip(
            clip.path,
            start=segment.start,
            duration=segment.duration,
            sample_rate=RATE,
            channels=1,
        )
        item = data[index]
        assert torch.equal(item["waveform"][:, : item["num_samples"]], expected[:, :800])
    assert seen == set(whole)


def test_an_item_is_a_function_of_seed_and_number(manifest):
    one, two = SoundDataset(manifest, **SETTINGS), SoundDataset(manifest, **SETTINGS)
    for index in [20, 0, 7, 0]:
        torch.manual_seed(index)
        assert torch.equal(one[index]["waveform"], two[index]["waveform"])
        assert one[index]["caption"] == two[index]["caption"]
    other = SoundDataset(manifest, **SETTINGS | {"seed": 8})
    assert any(not torch.equal(one[i]["waveform"], other[i]["waveform"]) for i in range(6))
    assert len(pickle.dumps(one)) < 10_000


def test_captions_vary_and_have_nothing_to_do_with_the_crop(manifest):
    data = SoundDataset(manifest, **SETTINGS)
    shown = [(i, data._choose(i, 0)) for i in range(2400)]
    of_clip = [(data._caption(s, i), s.start) for i, s in shown if s.id == "4"]
    starts = {name: [start for said, start in of_clip if said == name] for name in "xy"}
    assert min(map(len, starts.values())) > 150
    difference = np.mean(starts["x"]) - np.mean(starts["y"])
    spread = np.std([start for _, start in of_clip]) * math.sqrt(4 / len(of_clip))
    assert abs(difference) < 4 * spread
    assert {data._caption(s, i) for i, s in shown if s.id == "1"} == {None}


def test_lower_case_on_request(manifest):
    plain = SoundDataset(manifest, **SETTINGS, fixed=True)
    lowered = SoundDataset(manifest, **SETTINGS, fixed=True, lower_case=True)
    assert plain[0]["caption"] == "A Dog"
    assert lowered[0]["caption"] == "a dog"
    assert lowered[2]["caption"] is None


def test_labels_become_attributes_as_in_a_folder_of_codes(tmp_path):
    manifest = write_clips(tmp_path, labels={"class": "Dog"})
    data = SoundDataset(manifest, **SETTINGS, fixed=True, attributes={"kind": "class"})
    assert data[0]["caption"] == {"description": "A Dog", "kind": "Dog"}
    data.fixed = False  # fixed sounds are not mixed
    batch = collate_sounds([data[2], data[6]], mixing=Mixing(probability=1.0))
    assert batch["captions"][0].keys() == {"description", "kind"}
    assert batch["captions"][0]["kind"] == "Dog"


def test_sampling_by_duration_is_that_of_waveforms(manifest):
    data = SoundDataset(manifest, **SETTINGS, sample_by="duration")
    chosen = [data._choose(i, 0).id for i in range(3000)]
    for number, length in enumerate(LENGTHS):
        expected = length / sum(LENGTHS)
        near = 4 * math.sqrt(expected * (1 - expected) / 3000)
        assert chosen.count(str(number)) / 3000 == pytest.approx(expected, abs=near)
    assert isinstance(data._crops, WaveformDataset)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("mixing", [None, Mixing(probability=0.7)])
def test_the_stream_is_restored_to_the_sample(manifest, num_workers, mixing):
    def loader(rank=0):
        return EndlessLoader(
            SoundDataset(manifest, **SETTINGS),
            batch_size=4,
            rank=rank,
            world_size=2,
            num_workers=num_workers,
            collate_fn=lambda items: collate_sounds(items, mixing=mixing, seed=3),
        )

    whole = list(islice(iter(loader()), 5))
    first = loader()
    list(islice(iter(first), 2))
    second = loader()
    second.load_state_dict(first.state_dict())
    for batch, expected in zip(islice(iter(second), 3), whole[2:], strict=True):
        assert torch.equal(batch["waveform"], expected["waveform"])
        assert batch["captions"] == expected["captions"]
        assert torch.equal(batch["index"], expected["index"])
    assert torch.equal(whole[1]["index"], torch.tensor([8, 10, 12, 14]))
    if mixing is not None:
        assert any(" " in str(caption) for batch in whole for caption in batch["captions"])


def test_mixing_leaves_validation_alone(manifest):
    fixed = SoundDataset(manifest, **SETTINGS, fixed=True)
    items = [fixed[i] for i in range(4)]
    plain, mixed = collate_sounds(items), collate_sounds(items, mixing=Mixing(probability=1.0))
    assert torch.equal(plain["waveform"], mixed["waveform"])
    assert plain["captions"] == mixed["captions"]


def break_file(path, how):
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a web page":
        path.write_bytes(b"<html>not found</html>")
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:600])
    elif how == "no samples":
        soundfile.write(path, np.zeros((0, 1)), RATE)
    else:
        samples = np.zeros(3200, dtype=np.float32)
        samples[::2] = {"nan": math.nan, "infinite": math.inf}[how]
        soundfile.write(path, samples, RATE, subtype="FLOAT")


BROKEN = ["gone", "empty", "a web page", "cut off", "no samples", "nan", "infinite"]


@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_read_gives_its_place_to_another_and_says_so(tmp_path, caplog, how):
    manifest = write_clips(tmp_path)
    break_file(tmp_path / "audio" / "0.wav", how)
    data = SoundDataset(manifest, **SETTINGS)
    items = [data[i] for i in range(18)]
    assert sum(item["replaced"] > 0 for item in items) == 3  # once in each of three passes
    assert all(item["waveform"][:, : item["num_samples"]].any() for item in items)
    assert list(data.unreadable) == ["0"]
    said = [r.message for r in caplog.records if "takes its place" in r.message]
    assert len(said) == 1
    assert "0.wav" in said[0]
    again = SoundDataset(manifest, **SETTINGS)  # as after a restart
    for index in reversed(range(18)):
        assert torch.equal(again[index]["waveform"], items[index]["waveform"])
        assert again[index]["caption"] == items[index]["caption"]


def test_too_many_are_an_error(tmp_path):
    manifest = write_clips(tmp_path)
    for number in range(3):
        break_file(tmp_path / "audio" / f"{number}.wav", "gone")
    data = SoundDataset(manifest, **SETTINGS)
    with pytest.raises(UnreadableError, match=r"2 of 6 clips cannot be read.*the first: .*\.wav"):
        [data[i] for i in range(12)]
    allowed = SoundDataset(manifest, **SETTINGS, max_unreadable=0.5)
    assert all(allowed[i]["waveform"].any() for i in range(12))
    strict = SoundDataset(manifest, **SETTINGS, max_unreadable=0.0)
    with pytest.raises(UnreadableError, match="1 of 6 clips cannot be read"):
        [strict[i] for i in range(6)]
    nothing = SoundDataset(write_clips(tmp_path / "b", [1.0], CAPTIONS[:1]), **SETTINGS)
    break_file(tmp_path / "b" / "audio" / "0.wav", "gone")
    with pytest.raises(UnreadableError, match=r"item 0 met 51 clips of no use; the last: .*0\.wav"):
        nothing[0]


def test_a_damaged_segment_of_validation_is_replaced_by_the_next(tmp_path):
    manifest = write_clips(tmp_path)
    break_file(tmp_path / "audio" / "2.wav", "gone")
    data = SoundDataset(manifest, **SETTINGS, fixed=True)
    assert data[6]["replaced"] == 1
    assert torch.equal(data[6]["waveform"], data[7]["waveform"])


def test_silence_is_never_a_random_crop(tmp_path, caplog):
    manifest = write_clips(tmp_path)
    half = torch.cat([torch.zeros(1, 1600), noise(1.0, 0)], dim=1)
    write_audio(tmp_path / "audio" / "4.wav", torch.cat([noise(1, 0), half], dim=1), RATE)
    data = SoundDataset(manifest, **SETTINGS)
    items = [data[i] for i in range(120)]
    assert all(item["waveform"].abs().max() > 1e-4 for item in items)
    assert any(item["replaced"] for item in items)
    assert data.silent == {"4"}
    assert not data.unreadable
    assert "silent from" in caplog.text
    assert "another takes its place" in caplog.text


def test_a_silent_segment_is_kept_as_in_a_folder_of_codes_and_said(tmp_path, caplog):
    manifest = write_clips(tmp_path)
    write_audio(tmp_path / "audio" / "3.wav", torch.zeros(1, 320), RATE)
    data = SoundDataset(manifest, **SETTINGS, sample_by="segment")
    assert all(data[i]["replaced"] == 0 for i in range(14))
    assert data.silent == {"3"}
    assert caplog.text.count("trained on as it is") == 1


def test_clips_without_captions_are_counted_when_opened(manifest, caplog):
    with caplog.at_level(logging.WARNING):
        SoundDataset(manifest, **SETTINGS)
    assert "1 of 6 clips have no caption" in caplog.text


def test_rates_and_channels_are_made_to_fit(manifest):
    data = SoundDataset(manifest, **SETTINGS | {"sample_rate": 4000}, channels=2, fixed=True)
    assert data[0]["waveform"].shape == (2, 2000)
    assert data[3]["waveform"].shape == (2, 2000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, 'no clip has split "test"'),
        ({"segment_duration": 0.0}, "must be positive"),
        ({"num_samples": 0}, "must be positive"),
        ({"sample_by": "weight"}, "sample_by must be clip, duration or segment, got 'weight'"),
        ({"min_segment_ratio": 0.0}, r"min_segment_ratio must be in \(0, 1\]"),
        ({"max_unreadable": 2.0}, r"max_unreadable must be in \[0, 1\], got 2.0"),
    ],
)
def test_refusals(manifest, changes, message):
    with pytest.raises(ValueError, match=message):
        SoundDataset(manifest, **SETTINGS | changes)
