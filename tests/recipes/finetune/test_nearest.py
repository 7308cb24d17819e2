import numpy as np
import pytest
import torch

from audiogen.audio import read_audio, write_audio
from audiogen.data.manifest import Clip
from recipes.finetune.nearest import Windows, alarms, measure, nearest, write_clips

RATE = 16_000


class PerfectCodec:
    """Gives back what it was given: nothing learned in a test would."""

    sample_rate, channels = RATE, 1

    def encode(self, waveform):
        return waveform, None

    def decode(self, codes, scale):
        return codes


@pytest.fixture
def clips(tmp_path) -> list[Clip]:
    """Tones in noise, each twice as long as a sample, and one clip of silence."""
    rng = torch.Generator().manual_seed(0)
    made = []
    for i in range(8):
        times = torch.arange(RATE) / RATE
        sound = 0.3 * torch.sin(2 * torch.pi * (200 * 1.5**i) * times)
        sound = (sound + 0.02 * torch.randn(RATE, generator=rng)) * (i != 7)
        path = tmp_path / f"{i}.wav"
        write_audio(path, sound[None], RATE)
        split = "train" if i < 4 or i == 7 else "test"
        made.append(
            Clip(id=str(i), path=path, start=0.0, duration=1.0, captions=("a tone",),
                 source="test", licence="CC0-1.0", split=split)
        )  # fmt: skip
    return made


def test_a_copied_training_clip_is_found_and_an_alarm(clips, tmp_path):
    codec = PerfectCodec()
    copied = read_audio(clips[2].path)[0][0, RATE // 2 :]
    fresh = torch.randn(RATE // 2, generator=torch.Generator().manual_seed(9)) * 0.5
    rows = [{"file": "a.wav", "caption": "a", "kind": "own"}, {"file": "b.wav", "caption": "b"}]
    found = measure(rows, [copied, fresh], codec, clips)
    first, second = found["samples"]
    assert first["clip"] == "2"
    assert first["alarm"]
    assert first["distance"] < second["distance"]
    assert first["nearer_than"] == 1
    assert found["train"]["clips"] == 5
    # 97 spectra of a clip are one window of 50 and a rest; every 12 of them one more begins. Of
    # the silent clip there is none to be near to.
    assert found["held_out"]["windows"] == 3
    assert found["train"]["windows"] == 4 * 4
    assert found["held_out"]["limit"] > 0
    write_clips(found, {clip.id: clip for clip in clips}, tmp_path / "out")
    assert (tmp_path / "out" / "a.wav").is_file()


def test_distance_is_in_units_of_the_spread():
    known = Windows(vectors=np.array([[0.0, 0.0], [2.0, 20.0]]), clips=["a", "b"], starts=[0, 0])
    distances, which = nearest(np.array([[2.0, 10.0], [0.0, 0.0]]), known)
    # Spreads are 1 and 10: from (2, 10) it is (2, 1) to the first and (0, 1) to the second.
    assert distances == pytest.approx([np.sqrt(1 / 2), 0])
    assert which.tolist() == [1, 0]


def test_one_in_a_hundred_is_an_alarm():
    usual = np.arange(1, 1001) / 1000
    limit, found = alarms(np.array([0.005, 0.02]), usual)
    assert limit == pytest.approx(0.01)
    assert found == [True, False]
    # Of few, nearer than any: the nearest of them is no alarm.
    assert alarms(np.array([0.19, 0.2]), np.array([0.2, 0.3, 0.4])) == (0.2, [True, False])


def test_without_clips_to_compare_with_it_says_so(clips):
    codec = PerfectCodec()
    with pytest.raises(ValueError, match="held-out ones to compare with"):
        measure([{}], [torch.randn(800)], codec, clips[:4])
    with pytest.raises(ValueError, match="none has a window that is not silent"):
        measure([{}], [torch.randn(800)], codec, [clips[7], clips[5]])
