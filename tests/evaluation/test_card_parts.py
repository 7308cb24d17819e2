"""Cards whose tools are in no package registry, beside the packages these tools are made of.

tests/golden/make_card_parts.py puts the packages together. What reaches the networks is compared
with numbers it gave before; from files in odd formats to scores all runs where the packages are: in
an environment of their own, FOLDER/card_parts/bin/python with FAD_TOOLS=FOLDER.
"""

import importlib.util
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import evaluate
from evaluation.audio import read_channels
from evaluation.preparation.sound import Sound
from evaluation.preparation.steps import Steps
from evaluation.protocols.card import load_protocol

GOLDEN = Path(__file__).parents[1] / "golden"
THIN = 991  # make_card_parts.py keeps every so many samples
STEP = 1 / 32767  # of 16 bits: what lies between two is cut to either
READ = {  # what a package does with a file before the front end of CLAP
    "laion_clap": [
        {"mono": "mean"},
        {"resample": {"rate": 48000, "method": "soxr_hq_librosa"}},
        {"pcm16": {"scale": 32767, "rounding": "truncate"}},
    ],
    "frechet_audio_distance": [
        {"mono": "mean"},
        {"resample": {"rate": 48000, "method": "resampy_kaiser_best"}},
    ],
}
TINY = {"weights": "630k-audioset-best.pt", "fusion": False, "long": "random_crop"}
HEARD = {  # card__features -> largest difference of a sample, full scale 1
    "stable_audio_metrics__passt": 1e-6,
    "stable_audio_metrics__clap": 1.01 * STEP,
    "laion_clap": 1.01 * STEP,
    "av_benchmark__vggish": 1e-6,
    "av_benchmark__panns": 1e-6,
    "av_benchmark__passt": 1e-6,
    "av_benchmark__clap": 1e-6,
    "audioldm_eval_passt__vggish": 3e-5,  # the tool's filter is made in float32, ours in float64
    "audioldm_eval_passt__passt": 3e-5,
    "audioldm_eval_passt__clap": 3e-5,
}
SCORES = {  # card -> metric -> agreement, relative; of CLAP, whose cosines are near zero, absolute
    "stable_audio_metrics": {"kld_passt_reverse": 1e-6, "clap_score": 5e-7},
    "laion_clap": {"clap_score": 5e-7},
    "frechet_audio_distance": {"clap_score": 5e-7},
    "av_benchmark": {
        "fad_vggish": 1e-6,
        "fd_panns": 1e-5,  # twelve rows: theirs are eigenvalues of a singular product, 3e-6 here
        "fd_passt": 1e-5,  # 4e-6 here
        "kld_panns": 1e-6,
        "kld_passt": 1e-6,
        "inception_panns": 1e-6,
        "inception_passt": 1e-6,
        "clap_score": 5e-7,
    },
    "audioldm_eval_passt": {
        "fad_vggish": 2e-6,
        "fd_passt": 1e-5,
        "kld_passt": 1e-6,
        "clap_score": 5e-7,
    },
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUNDS = load("odd_sounds")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    SOUNDS.write_side(folder, 0, SOUNDS.SHORT)
    return sorted(folder.iterdir())


def steps_of(key):
    card, _, features = key.partition("__")
    return Steps(load_protocol(card).features[features]["input"] if features else READ[card])


@pytest.mark.parametrize("key", HEARD)
def test_what_a_network_hears_of_odd_files(key, short):
    """Rates of 8 to 96 kHz, 1, 2 and 6 channels, 16 to 32 bits, float over full scale, FLAC."""
    pytest.importorskip("soxr")
    steps = steps_of(key)
    with np.load(GOLDEN / "card_parts.npz") as arrays:
        expected = {path.stem: arrays[f"{key}__{path.stem}"] for path in short}
    for path in short:
        samples, rate = read_channels(path)
        sound = steps(Sound(waveform=torch.from_numpy(samples.T.copy()), sample_rate=rate))
        heard = sound.waveform[0].double().numpy()
        length, energy, *rest = expected[path.stem]
        assert len(heard) == length, path.name
        assert np.square(heard).sum() == pytest.approx(energy, rel=1e-4), path.name
        np.testing.assert_allclose(heard[::THIN], rest, rtol=0, atol=HEARD[key])


def middle(waveform, below, count):
    """Stand for the draw of a crop, as make_card_parts.py does for laion_clap's."""
    bounds = below if isinstance(below, list) else [below] * count
    return [bound // 2 for bound in bounds]


def our_card(name):
    """Return a card; for a package without one, that of its network after the package's reader."""
    if name not in READ:
        return load_protocol(name)
    card = load_protocol("stable_audio_metrics")
    features = {key: dict(options) for key, options in card.features.items()}
    features["clap"] |= {"input": READ[name]} | (TINY if name != "laion_clap" else {})
    return replace(card, features=features)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """The folder of sounds and weights, and the scores that the packages give them."""
    python = Path(os.environ.get("FAD_TOOLS", "/nowhere")) / "card_parts" / "bin" / "python"
    if not python.is_file():
        pytest.skip("FAD_TOOLS names no folder with card_parts/bin/python")
    folder = tmp_path_factory.mktemp("odd")
    SOUNDS.write_sounds(folder)
    SOUNDS.write_tokenizer(folder / "weights" / "roberta-base")
    load("fad_sounds").write_weights(folder / "weights")
    out = folder / "scores.npz"
    command = [python, "-W", "ignore", GOLDEN / "make_card_parts.py", "scores", folder, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as arrays:
        return folder, dict(arrays)


@pytest.mark.parametrize("name", SCORES)
def test_live_scores(name, theirs, monkeypatch):
    """Random weights of the same numbers; CLAP's from a file that laion_clap's model wrote."""
    monkeypatch.setattr("evaluation.embedders.clap_front.draw", middle)
    monkeypatch.setattr("evaluation.embedders.clap.ALIKE", 1.0)  # random weights hear words alike
    folder, arrays = theirs
    captions = folder / ("captions.csv" if name != "frechet_audio_distance" else "first.csv")
    for key, close in SCORES[name].items():
        by_clap = key == "clap_score"
        means = {"weights": folder / "weights"} if by_clap else {"random_weights": True}
        report = evaluate(
            folder / "reference", folder / "generated", captions, our_card(name), [key],
            sanity=False, **means,
        )  # fmt: skip
        expected, ours = float(arrays[f"{name}__{key}"]), report.scores[key].value
        apart = ours - expected if by_clap else ours / expected - 1
        print(f"{name} {key} {expected} ours {apart:.1e}")
        assert abs(apart) <= close, key
