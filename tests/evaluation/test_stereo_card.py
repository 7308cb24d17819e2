"""The card of stable-audio-metrics from files to its Frechet distance, with few channels."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from evaluation import evaluate
from evaluation.embedders import openl3
from evaluation.embedders.openl3_network import OpenL3Network, load_openl3
from evaluation.metrics.frechet import frechet_distance
from evaluation.preparation.sound import Sound
from evaluation.protocols.card import load_protocol

CARD = "stable_audio_metrics"
FILES = ((44100, 2, 0.9), (48000, 1, 1.3), (16000, 1, 0.7), (32000, 2, 1.1))  # Hz, channels, s


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """Make a weights folder with the file of few channels, which then is OpenL3."""
    monkeypatch.setattr(
        openl3, "load_openl3",
        partial(load_openl3, kind=partial(OpenL3Network, channels=(2, 3, 4, 5))),
    )  # fmt: skip
    monkeypatch.setattr(openl3, "SIZES", {512: (1, 1)})
    written = Path(__file__).parents[1] / "golden" / "openl3_narrow.h5"
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "openl3_audio_mel256_env.h5").write_bytes(written.read_bytes())
    return folder


@pytest.fixture
def sides(tmp_path):
    numbers = np.random.default_rng(0)
    folders = []
    for side in ("reference", "generated"):
        folders.append(tmp_path / side)
        folders[-1].mkdir()
        for index, (rate, channels, seconds) in enumerate(FILES):
            noise = numbers.uniform(-0.3, 0.3, (round(rate * seconds), channels)).cumsum(axis=0)
            soundfile.write(folders[-1] / f"{index}.wav", noise / np.abs(noise).max() / 2, rate)
    return folders


def by_hand(folder, network):
    """Embed the files of a folder without the machinery around the network."""
    steps = load_protocol(CARD).input_steps("openl3")
    rows = []
    for path in sorted(folder.iterdir()):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = steps(Sound(waveform=torch.from_numpy(samples.T.copy()), sample_rate=rate))
        assert sound.waveform.shape[0] == 2
        pictures = network.pictures(sound.waveform, sample_rate=44100, hop=0.5)
        rows.append(torch.cat([network.embed(pictures[:, 0]), network.embed(pictures[:, 1])], 1))
    return torch.cat(rows).double()


def test_the_distance_is_that_of_both_channels_side_by_side(weights, sides):
    report = evaluate(*sides, protocol=CARD, metrics=["fd_openl3"], weights=weights, sanity=False)
    network = openl3.OpenL3(weights=weights / "openl3_audio_mel256_env.h5")
    first, second = (by_hand(folder, network) for folder in sides)
    gaussians = [m for rows in (first, second) for m in (rows.mean(dim=0), rows.T.cov())]
    score = report.scores["fd_openl3"]
    np.testing.assert_allclose(score.value, float(frechet_distance(*gaussians)), rtol=1e-4)
    assert first.shape == (10, 10)
    assert score.n == len(FILES)
