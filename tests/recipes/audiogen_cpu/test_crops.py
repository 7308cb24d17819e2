import os

import numpy as np
import pytest
import torch

from audiogen.audio import read_audio, write_audio
from audiogen.data.manifest import Clip, read_manifest, write_manifest
from recipes.audiogen_cpu.crops import GAIN, SPEED, crops, main, write_crops

RATE = 1000


def tone(hertz=100, seconds=3.0, level=0.1):
    times = torch.arange(round(seconds * RATE)) / RATE
    return (level * np.sqrt(2) * torch.sin(2 * torch.pi * hertz * times))[None]


def pitch(sound):
    return int(torch.fft.rfft(sound[0]).abs()[1:].argmax()) + 1


def test_crops_differ_in_speed_level_and_place_within_their_bounds():
    made = list(crops(tone(), samples=RATE, count=40, rng=np.random.default_rng(0)))
    assert all(sound.shape == (1, RATE) and sound.dtype == torch.float32 for sound in made)
    pitches = [pitch(sound) for sound in made]
    assert 100 / SPEED - 1 <= min(pitches) < 95 < 105 < max(pitches) <= 100 * SPEED + 1
    levels = [20 * float(sound.square().mean().sqrt().log10()) + 20 for sound in made]
    assert -GAIN - 0.2 <= min(levels) < -4 < 4 < max(levels) <= GAIN + 0.2
    assert len({float(sound[0, 100]) for sound in made}) == 40


def test_crops_of_silence_are_left_out():
    half = torch.cat([tone(seconds=2.0), torch.zeros(1, 6 * RATE)], dim=1)
    made = list(crops(half, samples=RATE // 4, count=50, rng=np.random.default_rng(0)))
    assert 5 < len(made) < 25
    assert not list(crops(half * 0, samples=RATE, count=5, rng=np.random.default_rng(0)))


def test_a_shorter_clip_is_followed_by_silence():
    short = tone(seconds=0.5)
    (sound,) = crops(short, samples=RATE, count=1, rng=np.random.default_rng(1))
    assert sound.shape == (1, RATE)
    assert sound[0, -100:].abs().max() < 0.05 * sound.abs().max()


@pytest.fixture
def manifest(tmp_path):
    clips = []
    for number, split in enumerate(("train", "valid", "train")):
        path = tmp_path / "audio" / f"{number}.flac"
        write_audio(path, tone(100 + 50 * number), RATE)
        clips.append(
            Clip(
                id=f"c{number}", path=path, start=0.5, duration=2.0, captions=("A tone.",),
                source="mine", licence="CC0-1.0", split=split, labels={"class": "tone"},
            )
        )  # fmt: skip
    return write_manifest(tmp_path / "manifest.jsonl", clips)


def sounds(folder):
    return {path.name: path.read_bytes() for path in (folder / "crops").glob("*.flac")}


def test_only_training_clips_are_cropped_and_everything_else_is_kept(manifest):
    out = write_crops(manifest, seconds=0.5, count=3, seed=1)
    before, after = list(read_manifest(manifest)), list(read_manifest(out))
    assert [clip.id for clip in after] == ["c0.0", "c0.1", "c0.2", "c1", "c2.0", "c2.1", "c2.2"]
    assert after[3] == before[1]
    for clip in after[:3]:
        assert (clip.captions, clip.labels, clip.licence) == (
            before[0].captions, before[0].labels, "CC0-1.0",
        )  # fmt: skip
        waveform, rate = read_audio(clip.path)
        assert (waveform.shape[1], rate, clip.duration) == (RATE // 2, RATE, 0.5)


def test_what_a_clip_gives_depends_on_seed_and_id_alone(manifest, tmp_path):
    out = write_crops(manifest, seconds=0.5, count=2, seed=1)
    first = sounds(tmp_path)
    text = out.read_bytes()
    clips = list(read_manifest(manifest))
    write_manifest(manifest, [*clips[1:], clips[0]])
    write_crops(manifest, seconds=0.5, count=2, seed=1)
    assert sounds(tmp_path) == first
    write_manifest(manifest, clips)
    assert write_crops(manifest, seconds=0.5, count=2, seed=1).read_bytes() == text
    write_crops(manifest, seconds=0.5, count=2, seed=2)
    assert sounds(tmp_path) != first


def test_crops_that_are_there_stay(manifest, tmp_path):
    out = write_crops(manifest, seconds=0.5, count=2, seed=1)
    for path in (out, *(tmp_path / "crops").iterdir()):
        os.utime(path, (1, 1))
    write_crops(manifest, seconds=0.5, count=2, seed=1)
    assert {p.stat().st_mtime for p in (out, *(tmp_path / "crops").iterdir())} == {1}
    out.unlink()  # as a kill would have left it
    write_crops(manifest, seconds=0.5, count=2, seed=1)
    assert len(list(read_manifest(out))) == 5


def test_mistakes_are_one_line(manifest, capsys):
    assert main([str(manifest), "--count", "0"]) == 2
    assert "expected seconds over 0 and a count from 1, got 1.0 and 0" in capsys.readouterr().err
    assert main([str(manifest.with_name("none.jsonl"))]) == 2
    assert capsys.readouterr().err.count("error: ") == 1
