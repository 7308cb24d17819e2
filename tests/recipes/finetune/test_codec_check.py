import torch

from audiogen.audio import write_audio
from audiogen.data.manifest import Clip, write_manifest
from recipes.finetune.codec_check import main, summary

SOUNDS = {"n": 4}


def test_it_says_what_the_codec_loses():
    found = {"sounds": SOUNDS, "scores": {"si_sdr": -7.25, "mel_distance": 0.5}, "alarms": []}
    first, advice = summary(found)
    assert "4 held-out clips come back with -7.2 dB of SI-SDR" in first
    assert "more error than sound" in advice
    found["scores"]["si_sdr"] = 9.0
    assert len(list(summary(found))) == 1
    found["alarms"] = [{"degree": "bad", "text": "Codebook 1 is dead."}]
    assert list(summary(found))[1] == "codec, bad: Codebook 1 is dead."
    found["scores"]["si_sdr"] = None
    assert "no SI-SDR" in next(iter(summary(found)))


def test_without_sounds_it_is_one_line(base, tmp_path, capsys):
    words = ["--codec", str(base), "--manifest", str(tmp_path / "m.jsonl"), "--out", str(tmp_path)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "there is no manifest" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_sounds_without_captions_are_refused_at_once(base, tmp_path, capsys):
    """Hours later, when held-out clips are judged, is too late."""
    write_audio(tmp_path / "a.wav", torch.zeros(1, 4000), 16_000)
    clips = [
        Clip(
            id=split, path=tmp_path / "a.wav", start=0.0, duration=0.25, source="mine",
            captions=("rain",) if split == "valid" else (), licence="CC0-1.0", split=split,
        )
        for split in ("train", "valid", "test")
    ]  # fmt: skip
    manifest = write_manifest(tmp_path / "manifest.jsonl", clips)
    words = ["--codec", str(base), "--manifest", str(manifest), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "no clip of train and test has a caption" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
