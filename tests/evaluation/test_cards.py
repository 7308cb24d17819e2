"""The shipped cards: what each published protocol is known by, and that all of it can be built."""

import csv
import hashlib
import itertools
from inspect import signature
from pathlib import Path

import pytest
import torch

from evaluation.catalog import METRICS, NETWORKS
from evaluation.embedders.clap import Clap
from evaluation.embedders.logmel import LogMelStatistics
from evaluation.embedders.msclap import MsClap
from evaluation.embedders.openl3 import OpenL3, OpenL3Features
from evaluation.embedders.panns import Panns, PannsFeatures
from evaluation.embedders.passt import Passt, PasstFeatures
from evaluation.embedders.vggish import VGGishFeatures
from evaluation.preparation.sound import Sound
from evaluation.preparation.steps import StepError, Steps
from evaluation.protocols.card import FOLDER, load_protocol, protocol_names
from evaluation.scorers.features import build_feature_scorer

PUBLISHED = {
    "audiocraft",
    "audioldm_eval_v1",
    "audioldm_eval_v2",
    "audioldm_eval_passt",
    "stable_audio_metrics",
    "fadtk",
    "av_benchmark",
}
TAKES = {
    "vggish": [VGGishFeatures],
    "panns": [Panns, PannsFeatures],
    "passt": [Passt, PasstFeatures],
    "clap": [Clap],
    "msclap": [MsClap],
    "logmel": [LogMelStatistics],
    "openl3": [OpenL3, OpenL3Features],
}
SHARED = {"network", "weights", "input", "dtype"}
OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "metadata" / "audiocaps" / "test.csv"


def at(card, path):
    """Return a value of a card by dotted path."""
    place = card.to_dict()
    for word in path.split("."):
        place = place[int(word)] if isinstance(place, list) else place[word]
    return place


def steps(*names):
    return Steps(names).canonical()


def test_all_protocols_are_there_under_their_file_names():
    assert set(protocol_names()) == PUBLISHED | {"default", "codec", "demo"}
    for name in protocol_names():
        assert load_protocol(name).name == name


def test_no_two_cards_are_one():
    hashes = {load_protocol(name).sha256() for name in protocol_names()}
    assert len(hashes) == len(protocol_names())


def julius(rate):
    return {"resample": {"rate": rate, "method": "julius"}}


def sinc(rate):
    return {"resample": {"rate": rate, "method": "sinc_hann6"}}


def soxr(rate):
    return {"resample": {"rate": rate, "method": "soxr_hq"}}


def librosa(rate):
    return {"resample": {"rate": rate, "method": "soxr_hq_librosa"}}


MEAN, FIRST = {"mono": "mean"}, {"mono": "first"}
GOOGLE = {"positive_max": {"floor": 0.1, "unit": "pcm16"}}
LAION = {"pcm16": {"scale": 32767, "rounding": "truncate"}}
OLD_READER = {
    "resample": {
        "rate": 16000,
        "method": "sinc_hann6",
        "decimate_from": [48000],
        "double_speed_from": [32000],
    }
}
OLD_FAD = {"resample": {"rate": 16000, "method": "resampy_kaiser_best", "decimate_from": [32000]}}


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("audiocraft", "vggish", [MEAN, julius(16000), {"peak": -1.0}, "pcm16", GOOGLE]),
        ("audiocraft", "passt", [MEAN, julius(16000), julius(32000)]),
        ("audiocraft", "clap", [MEAN, julius(16000), julius(48000)]),
        ("audioldm_eval_v1", "vggish", ["pcm16", MEAN, OLD_FAD]),
        ("audioldm_eval_v1", "panns", [FIRST, "remove_dc", OLD_READER, {"at_least": 2.0}]),
        ("audioldm_eval_v2", "vggish", [FIRST, "remove_dc", sinc(16000), {"at_least": 2.0}]),
        ("audioldm_eval_v2", "panns", [FIRST, "remove_dc", sinc(16000), {"at_least": 2.0}]),
        ("audioldm_eval_passt", "passt", [FIRST, "remove_dc", sinc(32000), {"exactly": 10.0}]),
        (
            "audioldm_eval_passt",
            "clap",
            [FIRST, "remove_dc", sinc(32000), {"at_least": 1.0}, sinc(48000)],
        ),
        ("stable_audio_metrics", "openl3", [{"peak": -1.0}, soxr(44100), "stereo"]),
        ("stable_audio_metrics", "passt", [MEAN, librosa(32000), {"peak": -1.0}]),
        ("stable_audio_metrics", "clap", [MEAN, librosa(48000), {"peak": -1.0}, LAION]),
        (
            "fadtk",
            "vggish",
            [
                MEAN,
                {"resample": {"rate": 16000, "method": "sinc_kaiser64"}},
                {"pcm16": {"scale": 32768, "rounding": "down"}},
                {"at_least": 1.0},
            ],
        ),
        ("av_benchmark", "passt", [MEAN, "remove_dc", sinc(32000), {"exactly": 10.0}]),
        ("av_benchmark", "panns", [MEAN, "remove_dc", sinc(16000), {"at_most": 10.0}]),
        ("av_benchmark", "clap", [MEAN, "remove_dc", sinc(48000), {"at_most": 10.0}]),
        ("av_benchmark", "msclap", [sinc(44100), {"mono": "joined"}]),
        ("default", "vggish", [MEAN, soxr(16000)]),
        ("default", "passt", [MEAN, soxr(32000)]),
        ("default", "clap", [MEAN, soxr(48000)]),
    ],
)
def test_what_happens_to_a_sound_before_a_network(name, features, expected):
    assert load_protocol(name).input_steps(features).canonical() == steps(*expected)


def test_only_audiocraft_changes_the_generated_side_alone():
    expected = [MEAN, julius(16000), {"loudness": {"target": -14.0, "floor": 0.002}}, "clip"]
    for name in protocol_names():
        steps_there = load_protocol(name).generated_steps().canonical()
        assert steps_there == (steps(*expected) if name == "audiocraft" else [])


FORWARD, BACKWARD = "reference||generated", "generated||reference"
MUSIC = "music_audioset_epoch_15_esc_90.14.pt"
MUSIC_SPEECH = "music_speech_audioset_epoch_15_esc_89.98.pt"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "audiocraft",
            {
                "min_duration": 1.0,
                "length": "cut",
                "captions": "first",
                "test_list.clips": 975,
                "test_list.captions": 4875,
                "features.vggish.window": 1.0,
                "features.vggish.hop": 0.5,
                "features.vggish.embedding": "before_relu",
                "features.vggish.pca": None,
                "features.passt.model": "passt_s_swa_p16_128_ap476",
                "features.passt.segments": "split",
                "features.passt.min_segment": 0.15,
                "features.clap.weights": MUSIC,
                "features.clap.fusion": False,
                "features.clap.quantize": False,
                "metrics.fad_vggish.statistics": "float32",
                "metrics.kld_passt.direction": FORWARD,
                "metrics.kld_passt.activation": "softmax",
                "metrics.kld_passt.epsilon": 1e-6,
            },
        ),
        (
            "audioldm_eval_v1",
            {
                "test_list.clips": 964,
                "test_list.sha256": None,
                "captions": "listed",
                "features.vggish.hop": 0.96,
                "features.panns.weights": "Cnn14_16k_mAP=0.438.pth",
                "metrics.kld_panns.direction": FORWARD,
                "metrics.kld_panns.epsilon": 1e-6,
                "metrics.kld_panns_sigmoid.activation": "sigmoid",
                "metrics.inception_panns.splits": 10,
            },
        ),
        ("audioldm_eval_v2", {"features.vggish.window": 0.96, "metrics.kld_panns.epsilon": 1e-6}),
        (
            "audioldm_eval_passt",
            {
                "features.clap.weights": MUSIC_SPEECH,
                "features.passt.segments": "cut_or_pad",
                "metrics.kld_passt.direction": FORWARD,
            },
        ),
        (
            "stable_audio_metrics",
            {
                "captions": "all",
                "test_list.clips": 881,
                "test_list.captions": 4875,
                "features.openl3.input_repr": "mel256",
                "features.openl3.embedding_size": 512,
                "features.openl3.hop": 0.5,
                "features.openl3.center": True,
                "features.passt.segments": "overlap",
                "features.clap.weights": "630k-audioset-fusion-best.pt",
                "features.clap.fusion": True,
                "metrics.kld_passt_reverse.direction": BACKWARD,
                "metrics.kld_passt_reverse.segments": "mean_logits",
                "metrics.kld_passt_reverse.epsilon": 1e-6,
            },
        ),
        (
            "fadtk",
            {
                "features.vggish.hop": 0.96,
                "metrics.fad_vggish.vectors": "float16",
                "metrics.fad_vggish_infinity.recipe": "fadtk",
                "metrics.fad_vggish_infinity.points": 25,
                "metrics.fad_vggish_infinity.fewest": 500,
            },
        ),
        (
            "av_benchmark",
            {
                "features.clap.weights": MUSIC_SPEECH,
                "metrics.kld_passt.epsilon": 0.0,
                "metrics.kld_passt.direction": FORWARD,
                "features.passt.segments": "cut_or_pad",
                "features.msclap.weights": "CLAP_weights_2023.pth",
                "features.msclap.seed": 2036,
                "metrics.msclap_score.items": "captions",
                "metrics.inception_panns.order": "audioldm_eval",
            },
        ),
        (
            "default",
            {
                "captions": "all",
                "features.vggish.window": 0.96,
                "features.vggish.hop": 0.48,
                "metrics.fad_vggish.statistics": "float64",
                "metrics.kld_passt.direction": FORWARD,
                "metrics.kld_passt_reverse.direction": BACKWARD,
                "metrics.fad_vggish_infinity.recipe": "both",
            },
        ),
    ],
)
def test_what_a_protocol_is_known_by(name, facts):
    card = load_protocol(name)
    assert {path: at(card, path) for path in facts} == facts


@pytest.mark.parametrize("name", protocol_names())
def test_every_score_over_features_can_be_built_from_its_options(name):
    card = load_protocol(name)
    for key, options in card.metrics.items():
        if METRICS[key].kind is not None:
            assert build_feature_scorer(key, options).kind == METRICS[key].kind


@pytest.mark.parametrize("name", protocol_names())
def test_every_network_takes_the_options_of_its_features_and_the_card_states_all(name):
    given_by_code = {"self", "weights", "device", "dtype", "vggish", "panns", "passt", "openl3"}
    by_folder = {"tokenizer", "cache"}  # where files are, which changes no number
    for features, options in load_protocol(name).features.items():
        takes = set()
        for kind in TAKES[options["network"]]:
            takes |= signature(kind.__init__).parameters.keys() - given_by_code - by_folder
        stated = options.keys() - SHARED
        assert stated <= takes, features
        assert takes - stated <= {"short", "min_segment", "pca"}, features


@pytest.mark.parametrize("name", protocol_names())
def test_a_few_samples_are_prepared_or_refused_by_the_step(name):
    card = load_protocol(name)
    for rate, channels, length in itertools.product((8000, 44100, 96000), (1, 2), (1, 2, 5)):
        given = Sound(waveform=torch.full((channels, length), 0.5), sample_rate=rate)
        for features in card.features:
            try:
                made = card.input_steps(features)(card.generated_steps()(given))
            except StepError as error:
                assert str(error).startswith("step resample: ")  # noqa: PT017
                continue
            assert made.waveform.isfinite().all()
            assert made.waveform.numel() > 0


@pytest.mark.parametrize("name", protocol_names())
def test_rates_and_outputs_fit_the_networks(name):
    card = load_protocol(name)
    for options in card.features.values():
        rates = NETWORKS[options["network"]].rates
        assert not rates or Steps(options["input"]).sample_rate in rates
        if options["network"] == "panns":
            assert (Steps(options["input"]).sample_rate == 16000) == ("16k" in options["weights"])


@pytest.mark.parametrize("name", protocol_names())
def test_a_card_says_in_comments_where_its_values_come_from(name):
    text = (FOLDER / f"{name}.yaml").read_text()
    commented = sum("#" in line for line in text.splitlines())
    assert commented >= (15 if name in PUBLISHED else 8)


def test_the_list_of_the_audiocraft_card_is_the_official_one():
    """The ids themselves are not in this repository: every user has them in test.csv."""
    if not OFFICIAL.is_file():
        pytest.skip(f"no {OFFICIAL}")
    with OFFICIAL.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = {f"{row['youtube_id']},{float(row['start_time']):g}" for row in rows}
    expected = load_protocol("audiocraft").test_list
    assert (len(clips), len(rows)) == (expected["clips"], expected["captions"])
    digest = hashlib.sha256("\n".join(sorted(clips)).encode()).hexdigest()
    assert digest == expected["sha256"]
