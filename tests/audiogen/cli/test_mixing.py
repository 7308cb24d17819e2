"""`audiogen encode` says when mixing to one channel leaves nothing of a sound."""

import numpy as np
import pytest
import soundfile

from audiogen.checkpoint import save_codec
from audiogen.cli import main

LENGTH = 80_000  # three blocks of reading
WAVE = 0.9 * np.sin(np.arange(LENGTH) / 5)


@pytest.fixture
def encode(capsys, make_model, tmp_path):
    """Return a function: channels -> what encoding them says on stderr."""

    def say(*channels, rate=16000, **changes):
        folder = save_codec(make_model(**changes).codec, tmp_path / "codec")
        path = tmp_path / "in.wav"
        soundfile.write(path, np.stack(channels, axis=1), rate, subtype="FLOAT")
        out = str(tmp_path / "out.safetensors")
        assert main(["encode", str(path), "--model", str(folder), "--out", out]) == 0
        return capsys.readouterr().err

    return say


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("changes", [{}, {"renormalize": True}])
def test_channels_that_cancel(encode, rate, changes):
    for rest in (0.0, 0.009):  # of the peak, so more than 40 dB below it
        warning, note = encode(WAVE, -WAVE * (1 - 2 * rest), rate=rate, **changes).splitlines()
        assert warning.startswith("warning: ")
        assert "in.wav: its channels cancel: they peak at 0.9, and mixed to one at" in warning
        assert "2 channel(s) mixed to 1" in note


def test_a_peak_in_any_block_counts(encode):
    other = -WAVE.copy()
    other[-1] += 0.1  # 0.05 in the mix: 25 dB below the peak
    assert "warning" not in encode(WAVE, other)


@pytest.mark.parametrize(
    "channels",
    [
        (WAVE, -WAVE * (1 - 2 * 0.011)),
        (WAVE, np.zeros(LENGTH)),
        (WAVE, WAVE),
        (WAVE,),
        (np.zeros(LENGTH), np.zeros(LENGTH)),
        (1e-4 * WAVE,),
    ],
)
def test_what_is_left_is_enough(encode, channels):
    assert "warning" not in encode(*channels)


def test_nothing_is_mixed_for_a_codec_of_two_channels(encode):
    assert encode(WAVE, -WAVE, channels=2) == ""
