import io

import numpy as np
import pytest
import torch
from PIL import Image

from audiogen.audio import write_audio
from recipes.page.players import RANGE, hear, log_mel, loudest, panel, picture


def brightness(png):
    """Palette indices [height, width] of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_tone_is_bright_at_its_pitch_and_high_pitches_are_at_the_top():
    time = torch.arange(16_000) / 16_000
    low, high = (log_mel(torch.sin(2 * torch.pi * f * time), 16_000) for f in (300, 5000))
    assert low.shape == high.shape == (80, 126)
    top = float(low.max())
    rows = [brightness(picture(mel, top)).mean(axis=1).argmax() for mel in (low, high)]
    assert rows[0] > 60  # counted from the top of the picture
    assert rows[1] < 20


def test_a_sound_shorter_than_a_window_has_a_picture():
    assert log_mel(torch.ones(1), 16_000).shape == (80, 5)
    assert log_mel(torch.ones(512), 16_000).shape == log_mel(torch.ones(513), 16_000).shape


def test_all_pictures_share_one_scale():
    decibels = np.array([[-30.0, -30.0 - RANGE / 2], [-30.0 - RANGE, -300.0]], dtype=np.float32)
    indices = brightness(picture(decibels, top=-30.0))
    assert indices.tolist() == [[0, 0], [255, 128]]  # the lowest row at the foot
    assert brightness(picture(decibels, top=-30.0 + RANGE)).max() == 0


def test_a_file_becomes_a_panel(tmp_path):
    write_audio(tmp_path / "a.wav", torch.full((1, 16_000), 0.1), 16_000)
    heard = hear(tmp_path / "a.wav")
    shown = panel("reference", "Original", heard, top=loudest([{"reference": heard}]))
    assert (shown.level, shown.problem) == ("-20 dB", None)
    assert shown.seconds == pytest.approx(1, abs=0.01)
    assert shown.sound.startswith("data:audio/wav;base64,")
    assert panel("x", "X", hear(tmp_path / "b.wav"), top=0).problem == "there is no such file"
