"""Block by block equals the whole: of a file that is read, and of one that is written."""

import numpy as np
import pytest
import soundfile
import torch

from audiogen.audio import AudioError, read_audio, write_audio
from audiogen.long_audio import LongAudio, turned_down_writer


def noise(channels: int, samples: int, *, gain: float = 0.1) -> torch.Tensor:
    return gain * torch.randn(channels, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [22050, 16000, 44100, 48000])
@pytest.mark.parametrize("size", [1000, 7777])
def test_blocks_are_the_file(tmp_path, suffix, rate, size):
    path = tmp_path / f"x.{suffix}"
    write_audio(path, noise(2, 20011), 22050)
    whole, _ = read_audio(path, sample_rate=rate, channels=1)
    sound = LongAudio.open(path, sample_rate=rate, channels=1)
    for _ in range(2):
        blocks = list(sound.blocks(size))
        assert {block.shape[1] for block in blocks[:-1]} == {size}
        torch.testing.assert_close(torch.cat(blocks, dim=1), whole, rtol=0, atol=1e-6)
    assert sound.num_samples == whole.shape[1]


def test_rates_without_a_common_divisor(tmp_path):
    path = tmp_path / "x.wav"
    write_audio(path, noise(1, 60000), 15999)
    whole, _ = read_audio(path, sample_rate=16000)
    blocks = LongAudio.open(path, sample_rate=16000, channels=1).blocks(25000)
    torch.testing.assert_close(torch.cat(list(blocks), dim=1), whole, rtol=0, atol=1e-5)


def test_channels(tmp_path):
    for channels in (1, 2):
        write_audio(tmp_path / f"{channels}.wav", noise(channels, 500), 16000)
    (block,) = LongAudio.open(tmp_path / "1.wav", sample_rate=16000, channels=2).blocks()
    assert torch.equal(block[0], block[1])
    with pytest.raises(AudioError, match="has 2 channels, cannot give 3"):
        LongAudio.open(tmp_path / "2.wav", sample_rate=16000, channels=3)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "x.wav"
    for data, message in [
        (np.zeros(0, np.float32), "no samples: only a header"),
        (np.full(70000, np.nan, np.float32), "NaN or infinite"),
    ]:
        soundfile.write(path, data, 16000, subtype="FLOAT")
        with pytest.raises(AudioError, match=message):
            list(LongAudio.open(path, sample_rate=16000, channels=1).blocks())
    write_audio(path, noise(1, 70000), 16000)
    path.write_bytes(path.read_bytes()[:70000])
    with pytest.raises(AudioError, match="truncated"):
        LongAudio.open(path, sample_rate=16000, channels=1)
    with pytest.raises(AudioError, match="no such file"):
        LongAudio.open(tmp_path / "none.wav", sample_rate=16000, channels=1)


@pytest.mark.parametrize("gain", [0.1, 1.0])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_what_is_written_is_what_rescaling_the_whole_gives(tmp_path, gain, suffix):
    sound = noise(2, 90000, gain=gain)
    write_audio(tmp_path / f"whole.{suffix}", sound, 16000, clipping="rescale")
    with turned_down_writer(tmp_path / f"x.{suffix}", 16000, 2) as write:
        for part in sound.split(7000, dim=1):
            write(part)
        assert not (tmp_path / f"x.{suffix}").exists()
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    assert (tmp_path / f"x.{suffix}").read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_left_of_what_failed(tmp_path):
    with (
        pytest.raises(AudioError, match="1 of 5 samples are not finite"),
        turned_down_writer(tmp_path / "x.wav", 16000, 1) as write,
    ):
        write(torch.tensor([[0, 1, 2, float("nan"), 0]]))
    with (
        pytest.raises(AudioError, match="unknown suffix"),
        turned_down_writer(tmp_path / "x", 16000, 1),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
