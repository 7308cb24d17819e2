"""Two small folders of sounds that pair up: 12 noise bursts, and the same 6 dB quieter."""

import numpy as np
import pytest
import soundfile

RATE = 16000


def write_noise(path, *, seed, gain=0.1, seconds=1.5, rate=RATE):
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(path, (gain * noise).clip(-1, 1), rate)


@pytest.fixture
def folders(tmp_path):
    reference, generated = tmp_path / "reference", tmp_path / "generated"
    reference.mkdir()
    generated.mkdir()
    for i in range(12):
        write_noise(reference / f"clip{i:02d}.wav", seed=i)
        write_noise(generated / f"clip{i:02d}.wav", seed=100 + i, gain=0.05)
    return reference, generated
