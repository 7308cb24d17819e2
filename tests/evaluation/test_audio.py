import numpy as np
import pytest
import soundfile

from evaluation.audio import AudioError, check_audible, check_sound, read_channels

TONE = (0.5 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)


def test_reads_a_wav_exactly_and_unclipped(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, 3 * TONE, 16000, subtype="FLOAT")
    samples, rate = read_channels(path)
    assert rate == 16000
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, 3 * TONE[:, None])
    assert check_sound(path) == 0.5


def test_channels_stay_apart_and_in_order(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([TONE, 0 * TONE], axis=1), 16000, subtype="FLOAT")
    samples, _ = read_channels(path)
    np.testing.assert_array_equal(samples, np.stack([TONE, 0 * TONE], axis=1))


def test_silence_is_what_the_mono_rule_leaves(tmp_path):
    path = tmp_path / "half.wav"
    check_audible(np.stack([TONE, 0 * TONE], axis=1), path=path, mono="mean")
    second = np.stack([0 * TONE, TONE], axis=1)
    check_audible(second, path=path, mono="mean")
    with pytest.raises(AudioError, match=r"half\.wav: its 2 channels cancel"):
        check_audible(second, path=path, mono="first")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_reads_every_suffix_it_lists(tmp_path, suffix):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, TONE, 16000)
    samples, rate = read_channels(path)
    assert rate == 16000
    assert abs(np.sqrt((samples**2).mean()) - np.sqrt((TONE**2).mean())) < 0.05


def write_truncated_wav(path):
    soundfile.write(path, TONE, 16000)
    path.write_bytes(path.read_bytes()[:-1000])


def write_truncated_flac(path):
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 50000), 16000, format="FLAC")
    path.write_bytes(path.read_bytes()[:20000])


def write_nan(path):
    soundfile.write(path, np.where(np.arange(8000) == 7, np.nan, TONE), 16000, subtype="FLOAT")


def write_antiphase(path):
    soundfile.write(path, np.stack([TONE, -TONE], axis=1), 16000)


BROKEN = {
    "no such file": lambda path: None,
    r"empty \(0 bytes\)": lambda path: path.touch(),
    "not a readable audio file .* begins with '<!DOCTYPE html>": lambda path: path.write_text(
        "<!DOCTYPE html><html>404</html>"
    ),
    r"no sound \(1 channels, 0 frames\)": lambda path: soundfile.write(path, [], 16000),
    "cut short, 1000 bytes": write_truncated_wav,
    "decoding stopped before the end": write_truncated_flac,
    "NaN or infinite": write_nan,
    "silent": lambda path: soundfile.write(path, 0 * TONE, 16000),
    "2 channels cancel": write_antiphase,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_broken_files_are_named_with_the_reason(tmp_path, reason):
    path = tmp_path / "broken.wav"
    BROKEN[reason](path)
    with pytest.raises(AudioError, match=rf"broken\.wav: .*{reason}"):
        check_audible(read_channels(path)[0], path=path, mono="mean")


def test_zero_channels_are_not_sound(tmp_path):
    path = tmp_path / "broken.wav"
    soundfile.write(path, TONE, 16000)
    content = bytearray(path.read_bytes())
    content[22:24] = b"\0\0"  # the channel count of a WAV header
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"broken\.wav: "):
        read_channels(path)


def test_silence_is_read_where_nobody_refuses_it(tmp_path):
    path = tmp_path / "silent.wav"
    soundfile.write(path, 0 * TONE, 16000)
    assert not read_channels(path)[0].any()


def test_a_wav_from_a_pipe_is_whole(tmp_path):
    """A header of unknown length, as ffmpeg writes to a pipe, is no truncation."""
    path = tmp_path / "streamed.wav"
    soundfile.write(path, TONE, 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_channels(path)[0]) == len(TONE)


def test_rf64_is_read_and_its_truncation_seen(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, TONE, 16000, format="RF64", subtype="PCM_16")
    assert len(read_channels(path)[0]) == len(TONE)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(AudioError, match=r"long\.wav: cut short"):
        check_sound(path)
