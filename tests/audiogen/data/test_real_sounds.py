"""Real recordings, and files with something wrong, as a model meets them in training."""

import shutil
from pathlib import Path

import pytest
import torch

from audiogen.audio import AudioError, audio_info, check_audio
from audiogen.data.manifest import Clip, write_manifest
from audiogen.data.mixing import Mixing
from audiogen.data.sounds import SoundDataset, collate_sounds

SHARED = Path(__file__).parents[4] / "shared" / "data"
SETTINGS = {"split": "train", "sample_rate": 16000, "segment_duration": 1.0, "seed": 3}

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real files of ../shared/data are absent"
)


def manifest_of(paths, folder):
    """Copies of files, each a clip as long as its header says; 5 s where it has none."""
    clips = []
    for number, path in enumerate(sorted(paths)):
        shutil.copyfile(path, folder / path.name)
        try:
            duration = audio_info(path).duration or 5.0
        except AudioError:
            duration = 5.0
        clips.append(
            Clip(
                id=str(number),
                path=folder / path.name,
                start=0.0,
                duration=duration,
                captions=(f"sound {number}",),
                source="test",
                licence="unknown",
                split="train",
            )
        )
    return write_manifest(folder / "manifest.jsonl", clips)


def test_odd_files_train_or_are_named(tmp_path):
    """What a full check of a file refuses for damage is never in an item, and the rest is sound."""
    paths = [path for path in (SHARED / "formats").iterdir() if path.suffix != ".json"]
    data = SoundDataset(manifest_of(paths, tmp_path), **SETTINGS, max_unreadable=1.0)
    items = [data[index] for index in range(2 * len(paths))]
    for item in items:
        sound = item["waveform"][:, : item["num_samples"]]
        assert sound.isfinite().all()
        assert sound.abs().max() > 1e-4
    bad = {data._choose(index, 0).clip.path.name for index in range(len(paths))}
    assert bad == {path.name for path in paths}
    names = {clip.id: clip.path.name for clip in data._crops.clips}
    unreadable = {names[clip] for clip in data.unreadable}
    assert {"zero_bytes.wav", "html_error.wav", "no_samples.wav"} <= unreadable
    for name in unreadable:
        with pytest.raises(AudioError):
            check_audio(tmp_path / name)


def test_ogg_at_other_rates_and_mixtures_of_it(tmp_path):
    paths = sorted((SHARED / "esc10_ogg").rglob("*.ogg"))[:6]
    data = SoundDataset(manifest_of(paths, tmp_path), **SETTINGS)
    batch = collate_sounds([data[i] for i in range(6)], mixing=Mixing(probability=1.0), seed=1)
    assert batch["waveform"].shape == (6, 1, 16000)
    assert batch["waveform"].isfinite().all()
    assert batch["waveform"].abs().max() <= 0.99 + 1e-6
    plain = collate_sounds([data[i] for i in range(6)])
    assert (batch["waveform"] != plain["waveform"]).flatten(1).any(dim=1).all()
    assert sum(caption.count("sound") == 2 for caption in batch["captions"]) >= 4
    again = collate_sounds([data[i] for i in range(6)], mixing=Mixing(probability=1.0), seed=1)
    assert torch.equal(batch["waveform"], again["waveform"])
