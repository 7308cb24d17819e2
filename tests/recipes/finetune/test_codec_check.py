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
