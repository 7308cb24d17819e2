import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from audiogen.audio import AudioError
from audiogen.codec.health import measure_health
from audiogen.data.manifest import write_manifest
from recipes.codec_16khz.roundtrip import BOUND, clips_of, round_trip, score, score_clips

RATE = 16_000


def test_scores_of_a_known_change():
    original = torch.sin(torch.arange(RATE) * 0.3)[None, None]
    same = score(original, original, sample_rate=RATE)
    assert (same.si_sdr, same.mel_distance, same.level) == (BOUND, 0, 0)  # instead of +inf
    half = score(original, 0.5 * original, sample_rate=RATE)
    assert half.level == pytest.approx(20 * math.log10(0.5))
    noise = 0.1 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    noisy = score(original, original + noise, sample_rate=RATE)
    power = original.square().mean() / noise.square().mean()
    assert noisy.si_sdr == pytest.approx(10 * math.log10(power), abs=0.1)
    assert noisy.mel_distance > half.mel_distance / 10 > 0


def test_silence_has_no_ratio_and_no_level():
    silent = torch.zeros(1, 1, RATE)
    scores = score(silent, silent, sample_rate=RATE)
    assert (scores.si_sdr, scores.level, scores.mel_distance) == (None, None, 0)
    noise = score(silent, silent + 0.1, sample_rate=RATE)
    assert (noise.si_sdr, noise.level) == (None, None)


def test_a_sound_that_comes_back_silent_is_lost_altogether():
    scores = score(torch.randn(1, 1, RATE), torch.zeros(1, 1, RATE), sample_rate=RATE)
    assert (scores.si_sdr, scores.level) == (-BOUND, -BOUND)


def test_every_clip_is_scored_and_every_code_counted(tmp_path, small_codec, write_clips):
    clips = write_clips(tmp_path, number=3)
    codec = small_codec()
    trips = score_clips(codec, clips)
    assert list(trips.scores) == ["clip-0", "clip-1", "clip-2"]
    assert trips.counts.sum(dim=1).tolist() == [75, 75]  # 25 frames each
    sounds = [round_trip(codec, clip)[0] for clip in clips]
    health = measure_health(codec, sounds)
    assert [b.dead for b in health.codebooks] == (trips.counts == 0).sum(dim=1).tolist()


def test_a_clip_is_only_its_span(tmp_path, small_codec, write_clips):
    (clip,) = write_clips(tmp_path, number=1)
    original, returned, codes = round_trip(small_codec(), replace(clip, start=0.25, duration=0.2))
    assert original.shape == returned.shape == (1, 1, 3200)
    assert codes.shape == (1, 2, 10)
    whole, _ = soundfile.read(clip.path, dtype="float32")
    np.testing.assert_array_equal(original[0, 0].numpy(), whole[4000:7200])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": "valid"}, "no clip of the split “test”"),
        ({"duration": 0.019}, r"clip-0 of 0\.019 s is shorter than a frame"),
    ],
)
def test_clips_that_cannot_be_judged(tmp_path, small_codec, write_clips, changes, said):
    (clip,) = write_clips(tmp_path, number=1)
    write_manifest(tmp_path / "manifest.jsonl", [replace(clip, **changes)])
    with pytest.raises(ValueError, match=said):
        clips_of(tmp_path / "manifest.jsonl", "test", small_codec())


def test_a_frame_is_enough(tmp_path, small_codec, write_clips):
    (clip,) = write_clips(tmp_path, number=1)
    write_manifest(tmp_path / "manifest.jsonl", [replace(clip, duration=0.02)])
    codec = small_codec()
    (only,) = clips_of(tmp_path / "manifest.jsonl", "test", codec)
    (scores,) = score_clips(codec, [only]).scores.values()
    assert all(math.isfinite(value) for value in (scores.mel_distance, scores.log_spectral))


def test_sounds_of_another_rate_are_not_resampled_in_silence(tmp_path, small_codec, write_clips):
    write_clips(tmp_path, number=1, rate=8000)
    with pytest.raises(ValueError, match=r"8000 Hz, and the codec works at 16000 Hz; prepare"):
        clips_of(tmp_path / "manifest.jsonl", "test", small_codec())


def test_a_clip_with_nan_is_named(tmp_path, small_codec, write_clips):
    (clip,) = write_clips(tmp_path, number=1)
    path = tmp_path / "audio" / "nan.wav"
    soundfile.write(path, np.full(RATE, np.nan, dtype=np.float32), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav"):
        round_trip(small_codec(), replace(clip, path=path))


def test_a_codec_that_returns_nan_is_no_score(tmp_path, small_codec, write_clips):
    (clip,) = write_clips(tmp_path, number=1)
    codec = small_codec()
    next(codec.decoder.parameters()).data.fill_(math.nan)
    with pytest.raises(ValueError, match=r"0\.flac: item 0 decodes to samples that are not"):
        round_trip(codec, clip)


def test_mono_clips_for_a_stereo_codec(tmp_path, small_codec, write_clips):
    (clip,) = write_clips(tmp_path, number=1)
    original, returned, _ = round_trip(small_codec(channels=2), clip)
    assert original.shape == returned.shape == (1, 2, RATE // 2)
