from dataclasses import replace
from itertools import islice

import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from audiogen.audio import AudioError, write_audio
from audiogen.data.manifest import Clip, read_manifest, write_manifest
from audiogen.data.sampler import EndlessSampler
from audiogen.data.waveforms import WaveformDataset

RATE = 8000
SETTINGS = {"split": "train", "sample_rate": RATE, "segment_duration": 0.25, "seed": 7}


def ramp(seconds):
    """A sound whose every value tells its position: sample n is n / 2**15."""
    return torch.arange(round(seconds * RATE)) / 2**15


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Six clips of training sound: four long ones, one short, one in the middle of its file."""
    folder = tmp_path_factory.mktemp("data")
    lengths = [1.0, 1.1, 1.2, 1.3, 0.1, 2.0]
    clips = []
    for number, length in enumerate(lengths):
        path = folder / "audio" / f"{number}.flac"
        write_audio(path, ramp(length), RATE)
        inside = number == 5
        clips.append(
            Clip(
                id=str(number),
                path=path,
                start=0.5 if inside else 0.0,
                duration=1.0 if inside else length,
                captions=(),
                source="test",
                licence="CC0",
                split="train",
            )
        )
    return write_manifest(folder / "manifest.jsonl", clips)


def first_sample(item):
    return round(item["waveform"][0, 0].item() * 2**15)


def test_items(manifest):
    data = WaveformDataset(manifest, **SETTINGS)
    item = data[3]
    assert item["waveform"].shape == (1, 2000)
    assert item["waveform"].dtype == torch.float32
    assert item["mask"].shape == (2000,)
    assert item["index"] == 3
    assert len(data) == 6


def test_an_item_is_a_function_of_seed_and_number(manifest):
    one, two = WaveformDataset(manifest, **SETTINGS), WaveformDataset(manifest, **SETTINGS)
    for index in [20, 0, 7, 0]:
        torch.manual_seed(index)
        assert torch.equal(one[index]["waveform"], two[index]["waveform"])
    other = WaveformDataset(manifest, **SETTINGS | {"seed": 8})
    assert any(not torch.equal(one[i]["waveform"], other[i]["waveform"]) for i in range(6))


def test_crops_lie_within_their_clip_and_everywhere_in_it(manifest):
    data = WaveformDataset(manifest, **SETTINGS)
    starts = [first_sample(data[i]) for i in range(600) if data.choose(i)[0].id == "5"]
    assert len(starts) == 100
    assert min(starts) >= 4000
    assert max(starts) <= 12000 - 2000
    assert min(starts) < 4600
    assert max(starts) > 9400


def test_crops_are_whole_pieces_of_the_file(manifest):
    data = WaveformDataset(manifest, **SETTINGS)
    for index in range(12):
        item = data[index]
        if item["mask"].all():
            expected = (first_sample(item) + torch.arange(2000)) / 2**15
            assert torch.equal(item["waveform"][0], expected)


def test_short_clips_are_filled_up_and_masked(manifest):
    data = WaveformDataset(manifest, **SETTINGS)
    short = next(data[i] for i in range(6) if data.choose(i)[0].id == "4")
    assert short["mask"].sum() == 800
    assert short["mask"][:800].all()
    assert torch.equal(short["waveform"][0, :800], ramp(0.1))
    assert not short["waveform"][0, 800:].any()


def test_fixed_items_are_the_beginnings_in_order(manifest):
    data = WaveformDataset(manifest, **SETTINGS, fixed=True)
    assert [first_sample(data[i]) for i in range(6)] == [0, 0, 0, 0, 0, 4000]
    assert torch.equal(data[6]["waveform"], data[0]["waveform"])


def test_number_of_samples_is_free_and_still_shows_every_clip(manifest):
    data = WaveformDataset(manifest, **SETTINGS, num_samples=4)
    assert len(data) == 4
    assert {data.choose(i)[0].id for i in range(6)} == set("012345")


def test_sampling_by_duration_makes_all_seconds_as_likely(manifest):
    """Closed form: clip i comes up in a share of d_i / sum(d) of the items."""
    data = WaveformDataset(manifest, **SETTINGS, sample_by="duration")
    chosen = [data.choose(i)[0].id for i in range(4000)]
    lengths = {clip.id: clip.duration for clip in data.clips}
    for name, length in lengths.items():
        expected = length / sum(lengths.values())
        deviation = (expected * (1 - expected) / 4000) ** 0.5
        assert chosen.count(name) / 4000 == pytest.approx(expected, abs=4 * deviation)
    again = WaveformDataset(manifest, **SETTINGS, sample_by="duration")
    assert [again.choose(i)[0].id for i in range(50)] == chosen[:50]


def test_late_crops_hold_their_share_of_sound(manifest):
    """Of 2000 samples at least half are sound; without the ratio all are, in long clips."""
    data = WaveformDataset(manifest, **SETTINGS, min_segment_ratio=0.5)
    items = [data[i] for i in range(120) if data.choose(i)[0].id != "4"]
    filled = [int(item["mask"].sum()) for item in items]
    assert min(filled) >= 1000
    assert min(filled) < 1900
    assert 2000 in filled
    for item, count in zip(items, filled, strict=True):
        expected = (first_sample(item) + torch.arange(count)) / 2**15
        assert torch.equal(item["waveform"][0, :count], expected)
        assert not item["waveform"][0, count:].any()


def test_resamples_and_mixes(manifest):
    data = WaveformDataset(manifest, **SETTINGS | {"sample_rate": 16000}, channels=2, fixed=True)
    assert data[0]["waveform"].shape == (2, 4000)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_training_resumes_to_the_sample(manifest, num_workers):
    def loader():
        data = WaveformDataset(manifest, **SETTINGS)
        sampler = EndlessSampler()
        return StatefulDataLoader(data, batch_size=4, sampler=sampler, num_workers=num_workers)

    def run(batches, count):
        return [batch["waveform"] for batch in islice(batches, count)]

    whole = run(iter(loader()), 6)
    first = loader()
    run(iter(first), 1)
    second = loader()
    second.load_state_dict(first.state_dict())
    rest = run(iter(second), 5)
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[1:], strict=True))
    assert not torch.equal(whole[0], whole[3])


def test_refusals(manifest):
    with pytest.raises(ValueError, match='no clip has split "test"'):
        WaveformDataset(manifest, **SETTINGS | {"split": "test"})
    with pytest.raises(ValueError, match="must be positive"):
        WaveformDataset(manifest, **SETTINGS | {"segment_duration": 0.0})
    with pytest.raises(ValueError, match="sample_by must be 'clip' or 'duration', got 'weight'"):
        WaveformDataset(manifest, **SETTINGS, sample_by="weight")
    for ratio in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"min_segment_ratio must be in \(0, 1\]"):
            WaveformDataset(manifest, **SETTINGS, min_segment_ratio=ratio)


def test_a_missing_file_is_named(tmp_path):
    clip = Clip(
        id="a",
        path=tmp_path / "gone.wav",
        start=0.0,
        duration=1.0,
        captions=(),
        source="test",
        licence="CC0",
        split="train",
    )
    data = WaveformDataset(write_manifest(tmp_path / "m.jsonl", [clip]), **SETTINGS)
    with pytest.raises(AudioError, match=r"gone\.wav: there is no such file"):
        data[0]


def test_a_file_that_ends_before_its_clip_is_named(manifest):
    path = manifest.with_name("longer.jsonl")
    clips = [replace(clip, duration=clip.duration + 5) for clip in read_manifest(manifest)]
    data = WaveformDataset(write_manifest(path, clips), **SETTINGS | {"segment_duration": 60.0})
    with pytest.raises(AudioError, match=r"ends [45]\.[05]00 s before the clip does"):
        data[0]
