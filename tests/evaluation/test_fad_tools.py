"""Our numbers beside those of published tools on the same sounds, with the same random weights.

tests/golden/make_fad_tools.py ran the tools. A sound goes through the steps of the tool's card and
our network, and has to give the tool's vector; the tool's vectors go through the scoring of the
card, and have to give the tool's score. Where a tool is installed, all of it runs again from files
to scores: in this environment, or in one of its own, FOLDER/TOOL/bin/python with FAD_TOOLS=FOLDER.
"""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import evaluate
from evaluation.embedders.panns import Panns
from evaluation.embedders.vggish import VGGish, VGGishFeatures
from evaluation.features.pairs import PairFeatures
from evaluation.metrics.gaussian import frechet_distance
from evaluation.preparation.steps import Sound, Steps
from evaluation.protocols.card import load_protocol
from evaluation.scorers.features import build_feature_scorer

GOLDEN = Path(__file__).parents[1] / "golden"
TOOLS = ("frechet_audio_distance", "fadtk", "kadtk", "audioldm_eval")
READ = {  # tools without a card of their own, or whose release lies between two
    "frechet_audio_distance": [
        {"mono": "mean"},
        {"resample": {"rate": 16000, "method": "resampy_kaiser_best"}},
    ],
    "audioldm_eval_0.0.3": [
        "pcm16",
        {"mono": "mean"},
        {"resample": {"rate": 16000, "method": "resampy_kaiser_best"}},
    ],
}
needs_resampy = pytest.mark.skipif(
    importlib.util.find_spec("resampy") is None, reason="these tools resample with resampy"
)


def load_sounds():
    spec = importlib.util.spec_from_file_location("fad_sounds", GOLDEN / "fad_sounds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUNDS = load_sounds()


@cache
def golden(name):
    with np.load(GOLDEN / "fad_tools" / f"{name}.npz") as arrays:
        return dict(arrays)


@cache
def vggish():
    return VGGish(weights=None)


@cache
def panns():
    return Panns(weights=None)


def first_sound(sounds):
    """Return the first reference of a set as its file holds it."""
    rate, channels = SOUNDS.SETS[sounds]
    samples = SOUNDS.sound(0, kind=0, rate=rate, channels=channels)
    whole = np.round(samples * 32767).astype(np.int16)
    return Sound(waveform=torch.from_numpy(whole.T / np.float32(32768)), sample_rate=rate)


def embed(steps, sounds):
    features = VGGishFeatures(vggish())
    windows = features.windows(Steps(steps)(first_sound(sounds)).waveform[0])
    return features.run(windows)["embedding"].numpy()


@needs_resampy
@pytest.mark.parametrize("sounds", ["mono16", "stereo44"])
def test_vectors_of_frechet_audio_distance(sounds):
    expected = golden("frechet_audio_distance")[f"{sounds}__first"]
    got = embed(READ["frechet_audio_distance"], sounds)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sounds", ["mono16", "stereo44"])
def test_vectors_of_fadtk_are_the_same_float16_numbers(sounds):
    expected = golden("fadtk")[f"{sounds}__first"]
    got = embed(load_protocol("fadtk").features["vggish"]["input"], sounds)
    steps = np.abs(got.astype(np.float16).view(np.int16) - expected.view(np.int16))
    assert steps.max() <= 1  # a number that lies between two may be rounded either way


@pytest.mark.parametrize(
    ("name", "card", "sounds"),
    [
        ("audioldm_eval_0.0.2", "audioldm_eval_v1", "mono16"),
        ("audioldm_eval_0.0.2", "audioldm_eval_v1", "mono32"),  # played at double speed
        ("audioldm_eval_0.0.2", "audioldm_eval_v1", "stereo44"),
        ("audioldm_eval_0.0.3", "audioldm_eval_v2", "mono16"),
        ("audioldm_eval_0.0.3", "audioldm_eval_v2", "stereo44"),
    ],
)
def test_vectors_of_audioldm_eval(name, card, sounds):
    steps = Steps(load_protocol(card).features["panns"]["input"])
    features, logits = panns().run(panns().frames(steps(first_sound(sounds)).waveform))
    for key, got in (("features", features), ("logits", logits)):
        expected = golden(name)[f"{sounds}__first_{key}"]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_audiocraft_hears_googles_windows_at_any_level():
    """Peak, 16-bit file and division by the largest whole number, against the same in numpy."""
    arrays = np.load(GOLDEN / "vggish.npz")
    options = dict(load_protocol("audiocraft").features["vggish"])
    steps = Steps(options["input"])
    features = VGGishFeatures(vggish(), window=options["window"], hop=options["hop"])
    samples = arrays["waveform_int16"] / np.float32(32768)
    for gain in (1.0, 0.11, 0.003):
        sound = Sound(waveform=torch.from_numpy(gain * samples)[None], sample_rate=16000)
        got = features.windows(steps(sound).waveform[0])
        written = np.round(samples / np.abs(samples).max() * 10 ** (-1 / 20) * 32768)
        expected = features.windows(torch.from_numpy(written / max(0.1, written.max())))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
        np.testing.assert_allclose(got, arrays["google_windows_int16"], rtol=0, atol=0.02)


def clips(rows):
    """Split a side's windows by clip: four each, but the one of 1.5 s has one."""
    lengths = [4] * 40
    if len(rows) == 157:
        lengths[3] = 1
    return torch.from_numpy(rows.astype(np.float32)).split(lengths)


def pair(reference, generated, *, output):
    return PairFeatures(
        names=[f"{i:02d}" for i in range(len(reference))],
        reference={output: reference},
        generated={output: generated},
        captions=[()] * len(reference),
        text=None,
        network={"name": "test", "stand_in": True},
    )


def value(card, key, features, **options):
    metric = {**load_protocol(card).metrics[key], **options}
    found, reason = build_feature_scorer(key, metric).value(features)
    assert reason is None
    return found


@pytest.mark.parametrize(
    ("name", "card", "rel"),
    [
        ("frechet_audio_distance", "audioldm_eval_v1", 1e-6),  # its means are float32
        ("fadtk", "fadtk", 1e-9),
    ],
)
def test_distances_of_the_tools_vectors(name, card, rel):
    arrays = golden(name)
    sides = [clips(arrays[f"mono16__{side}"]) for side in ("reference", "generated")]
    features = pair(*sides, output="embedding")
    assert value(card, "fad_vggish", features) == pytest.approx(arrays["mono16__fad"], rel=rel)


def test_what_separates_fadtk_is_the_rounding_of_its_means():
    """With the mean of every file rounded to float16, its score is reached to the last digits."""
    arrays, gaussians = golden("fadtk"), []
    for side in ("reference", "generated"):
        files = [rows.double() for rows in clips(arrays[f"mono16__{side}"])]
        rounded = torch.cat([rows - rows.mean(dim=0) + half_mean(rows) for rows in files])
        gaussians += [rounded.mean(dim=0), torch.cov(rounded.T)]
    expected = float(arrays["mono16__fad"])
    assert float(frechet_distance(*gaussians)) == pytest.approx(expected, rel=1e-9)


def half_mean(rows):
    """Return the mean of float16 rows as numpy gives it."""
    return torch.from_numpy(rows.numpy().astype(np.float16).mean(axis=0)).double()


def test_kernel_distance_of_kadtk():
    """Its vectors are fadtk's; its bandwidth is the median of the generated side."""
    arrays = golden("fadtk")
    sides = [clips(arrays[f"mono16__{side}"]) for side in ("reference", "generated")]
    options = {"kind": "kernel", "features": "vggish", "output": "embedding"}
    scorer = build_feature_scorer("kad_vggish", options | {"bandwidth": "generated"})
    found, _ = scorer.value(pair(*sides, output="embedding"))
    assert found == pytest.approx(float(golden("kadtk")["mono16__kad_vggish"]), rel=1e-6)


def test_scores_of_audioldm_eval():
    arrays = golden("audioldm_eval_0.0.3")
    sides = [
        torch.from_numpy(arrays[f"mono16__logits_{side}"]).split(1)
        for side in ("reference", "generated")
    ]
    features = pair(*sides, output="logits")
    for key, theirs in (
        ("kld_panns", "kullback_leibler_divergence_softmax"),
        ("kld_panns_sigmoid", "kullback_leibler_divergence_sigmoid"),
        ("inception_panns", "inception_score_mean"),
    ):
        got = value("audioldm_eval_v2", key, features)
        assert got == pytest.approx(float(arrays[f"mono16__{theirs}"]), rel=2e-6), key


def interpreter(tool):
    """Return the interpreter of an environment that holds a tool, or None."""
    if importlib.util.find_spec(tool) is not None:
        return sys.executable
    path = Path(os.environ.get("FAD_TOOLS", "/nowhere")) / tool / "bin" / "python"
    return str(path) if path.is_file() else None


def reading(card, name, steps):
    """Return a card on which a network hears sounds after other steps."""
    features = {name: dict(options) for name, options in card.features.items()}
    features[name]["input"] = steps
    return replace(card, features=features)


def cards_of(tool, version):
    """Return, by the tool's names of scores, the card, the metric and the agreement to hold."""
    if tool == "frechet_audio_distance":
        card = reading(load_protocol("audioldm_eval_v1"), "vggish", READ[tool])
        return {"fad": (card, "fad_vggish", 1e-6)}
    if tool == "audioldm_eval":
        card = heard = load_protocol(
            "audioldm_eval_v1" if version < "0.0.3" else "audioldm_eval_v2"
        )
        if version < "0.0.3":  # the releases with the old reader already filled sounds up
            steps = [*card.features["panns"]["input"], {"at_least": 2.0}]
            card = reading(card, "panns", steps)
        else:
            heard = reading(card, "vggish", READ["audioldm_eval_0.0.3"])
        return {
            "fad": (heard, "fad_vggish", 1e-6),
            "kullback_leibler_divergence_softmax": (card, "kld_panns", 1e-5),
            "kullback_leibler_divergence_sigmoid": (card, "kld_panns_sigmoid", 1e-5),
            "inception_score_mean": (card, "inception_panns", 1e-5),
        }
    card = load_protocol("fadtk")
    if tool == "fadtk":
        return {"fad": (card, "fad_vggish", 1e-7)}  # a vector may be a float16 step away
    kernel = {"kind": "kernel", "features": "vggish", "output": "embedding"}
    heard = replace(card, metrics={"kad_vggish": kernel | {"bandwidth": "generated"}})
    return {
        "kad_vggish": (heard, "kad_vggish", 1e-4),  # of vectors in float16: 6e-5 here
        "fad": (card, "fad_vggish", 5e-4),  # root of a product in float32: 2e-4 here
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_live(tool, tmp_path):
    python = interpreter(tool)
    if python is None:
        pytest.skip(
            f"{tool} is not installed, and FAD_TOOLS names no folder with {tool}/bin/python"
        )
    SOUNDS.write_sets(tmp_path, ("mono16", "stereo44"))
    SOUNDS.write_weights(tmp_path / "weights")
    out = tmp_path / "out.npz"
    command = [python, "-W", "ignore", str(GOLDEN / "make_fad_tools.py"), tool, tmp_path, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    arrays = np.load(out)
    version = json.loads(str(arrays["versions"]))[tool.replace("_", "-")]
    for sounds in ("mono16", "stereo44"):
        for theirs, (card, key, rel) in cards_of(tool, version).items():
            sides = [tmp_path / sounds / side for side in ("reference", "generated")]
            report = evaluate(
                *sides, protocol=card, metrics=[key], random_weights=True, sanity=False,
                cache=tmp_path / "features",
            )  # fmt: skip
            expected, ours = float(arrays[f"{sounds}__{theirs}"]), report.scores[key].value
            print(f"{tool} {version} {sounds} {theirs} {expected} ours {ours / expected - 1:.1e}")
            assert ours == pytest.approx(expected, rel=rel), (sounds, key)
