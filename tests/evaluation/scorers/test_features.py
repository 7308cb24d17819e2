import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.features.pairs import PairFeatures
from evaluation.metrics.cosine import cosine_score
from evaluation.metrics.divergence import kl_divergence
from evaluation.metrics.feature_frechet import frechet_from_features
from evaluation.metrics.inception import inception_score, sound_order
from evaluation.metrics.kernel import kernel_distance
from evaluation.metrics.neighbors import neighborhoods
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.features import KINDS, build_feature_scorer

SETTINGS = Bootstrap(resamples=200, confidence=0.95, seed=1)
ALL = (
    ("fad_vggish", {"kind": "frechet"}),
    ("fad_vggish_infinity", {"kind": "frechet_infinity"}),
    ("kld_passt", {"kind": "kl"}),
    ("clap_score", {"kind": "cosine_text"}),
    ("clap_audio", {"kind": "cosine_audio"}),
    ("inception_passt", {"kind": "inception", "splits": 3}),
    ("kad_passt", {"kind": "kernel"}),
    ("density_passt", {"kind": "prdc", "value": "density", "k": 3}),
)
SETS = [row for row in ALL if row[1]["kind"] not in ("kl", "cosine_text", "cosine_audio")]


def features(clips=30, windows=2, dim=6, *, seed=0, shift=0.3, scale=1.0, stand_in=False):
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    reference = [draw(1, dim) + draw(windows, dim) for _ in range(clips)]
    generated = [shift + scale * (draw(1, dim) + draw(windows, dim)) for _ in range(clips)]
    return PairFeatures(
        names=[f"clip{i:03d}" for i in range(clips)],
        reference={"embedding": reference, "logits": reference},
        generated={"embedding": generated, "logits": generated},
        captions=[("a dog", "rain")] * clips,
        text=[draw(2, dim) + clip.mean(dim=0) for clip in reference],
        network={"name": "given", "version": "1", "stand_in": stand_in},
    )


def joined(found, output="embedding"):
    return torch.cat(list(found.reference[output])), torch.cat(list(found.generated[output]))


def build(row, **more):
    return build_feature_scorer(row[0], row[1] | more)


def test_every_kind_is_here():
    assert {options["kind"] for _, options in ALL} == set(KINDS)


def test_values_are_those_of_the_functions():
    found = features()
    a, b = joined(found)
    halves = [clip.mean(dim=0)[None] for clip in found.generated["logits"]]
    expected = {
        "fad_vggish": frechet_from_features(a, b),
        "kld_passt": kl_divergence(a, b).mean(),
        "clap_score": torch.stack(
            [
                cosine_score(clip[[0, 0, 1, 1]], text[[0, 1, 0, 1]]).mean()
                for clip, text in zip(found.generated["embedding"], found.text, strict=True)
            ]
        ).mean(),
        "inception_passt": inception_score(
            torch.cat(halves)[sound_order(30, order="audioldm_eval", seed=0)], splits=3
        )[0],
        "kad_passt": kernel_distance(a, b),
        "density_passt": neighborhoods(a, b, k=3).density.mean(),
    }
    for row in ALL:
        value, reason = build(row).value(found)
        assert reason is None
        if row[0] in expected:
            assert value == pytest.approx(float(expected[row[0]]), rel=1e-9), row


@pytest.mark.parametrize("row", ALL, ids=lambda row: row[0])
def test_scores_are_whole_and_repeatable(row):
    found = features(clips=60)
    scorer = build(row)
    score, notes = scorer.score(found, SETTINGS)
    assert score.value == scorer.value(found)[0]
    assert (score.n, score.reason, notes) == (60, None, [])
    if row[0] == "density_passt":  # resampled clips keep their reach: it would be too narrow
        assert (score.interval, "interval_of" in score.details) == (None, False)
        assert "reach" in score.details["no_interval"]
    else:
        low, high = score.interval
        assert low < score.value < high
        assert "interval_of" in score.details
    for fact in ("stand_in", "windows", "dim", "network"):
        assert fact in score.details
    assert score.details["windows"] == {"reference": 120, "generated": 120}
    assert {"reference_self", "reference_halves"} <= score.details.keys()
    json.dumps(score.details, allow_nan=False)
    again, _ = build(row).score(found, SETTINGS)
    assert again == score
    other, _ = build(row).score(found, Bootstrap(resamples=200, confidence=0.95, seed=2))
    assert other.interval != score.interval or score.interval is None


def test_global_random_streams_come_out_as_they_went_in():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for row in ALL:
        build(row).score(features(), SETTINGS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("row", ALL, ids=lambda row: row[0])
def test_counts_of_one_give_the_value_and_counts_pick_clips(row):
    found = features()
    scorer = build(row)
    ones = np.ones((1, 30), dtype=np.int64)
    assert scorer.resampled(found, ones)[0] == pytest.approx(scorer.value(found)[0], rel=1e-6)
    if row[1]["kind"] in ("frechet", "kl", "cosine_text", "cosine_audio"):
        from evaluation.scorers.base import select

        part = np.array([[1] * 12 + [0] * 18])
        expected = scorer.value(select(found, range(12)))[0]
        assert scorer.resampled(found, part)[0] == pytest.approx(expected, rel=1e-6)


def test_random_weights_are_in_the_label_and_in_the_facts():
    for row in ALL:
        score, _ = build(row).score(features(stand_in=True), SETTINGS)
        assert score.label.startswith("stand-in (random weights): ")
        assert score.details["stand_in"] is True
        plain, _ = build(row).score(features(), SETTINGS)
        assert not plain.label.startswith("stand-in")
    labels = ["a", "b"] * 15
    scores = build(ALL[2]).class_scores(features(stand_in=True), labels, SETTINGS)
    assert scores["a"].label.startswith("stand-in (random weights): ")


@pytest.mark.parametrize("row", SETS, ids=lambda row: row[0])
def test_where_no_honest_number_exists_there_is_a_reason(row):
    scorer = build(row)
    for found in (features(clips=1), features(clips=2, windows=0), broken(features())):
        score, _ = scorer.score(found, SETTINGS)
        assert math.isnan(score.value)
        assert score.reason
        assert score.interval is None
        assert math.isnan(scorer.value(found)[0])


def broken(found):
    found.generated["embedding"][3][0, 0] = math.nan
    return found


@pytest.mark.parametrize(
    "row", [row for row in SETS if row[1]["kind"] != "inception"], ids=lambda row: row[0]
)
def test_silent_references_give_no_distance_and_silent_sounds_a_bad_one(row):
    silent = [torch.ones(2, 6)] * 30
    found = features()
    to_silence = PairFeatures(
        names=found.names,
        reference={"embedding": silent},
        generated=found.generated,
        captions=found.captions,
        text=found.text,
        network=found.network,
    )
    score, _ = build(row).score(to_silence, SETTINGS)
    assert math.isnan(score.value)
    assert "the references" in score.reason or "reference" in score.reason
    if row[1]["kind"] == "frechet":
        quiet = features()
        quiet.generated["embedding"][:] = silent
        assert build(row).value(quiet)[0] > 3 * build(row).value(found)[0]


def test_pairs_without_a_value_are_named():
    found = features()
    found.generated["logits"][4] = found.generated["logits"][4][:1]
    found.generated["logits"][5] = found.generated["logits"][5][:0]
    score, notes = build(ALL[2]).score(found, SETTINGS)
    assert score.n == 28
    assert set(score.details["without_value"]) == {"clip004", "clip005"}
    assert notes[0].startswith("kld_passt: 2 of 30 pairs have no value (")
    values = build(ALL[2]).values(found)
    assert math.isnan(values["clip004"])
    assert math.isfinite(values["clip006"])


def test_captions_missing_for_some_and_for_all():
    found = features()
    found.text[3] = found.text[3][:0]
    score, notes = build(ALL[3]).score(found, SETTINGS)
    assert (score.n, len(notes)) == (29, 1)
    without = PairFeatures(
        names=found.names,
        reference=found.reference,
        generated=found.generated,
        captions=found.captions,
        text=None,
        network=found.network,
    )
    score, _ = build(ALL[3]).score(without, SETTINGS)
    assert math.isnan(score.value)
    assert score.reason == "no pair has a value (it has no caption)"


def test_every_caption_an_item_or_every_clip():
    found = features()
    found.text[0] = found.text[0][:1]
    by_clip, _ = build(ALL[3]).score(found, SETTINGS)
    by_caption, _ = build(ALL[3], items="captions").score(found, SETTINGS)
    assert (by_clip.details["items"], by_caption.details["items"]) == (30, 59)
    assert by_clip.value != by_caption.value
    assert by_clip.details["reference_self"] > by_clip.value  # the captions describe references


def test_scales_of_chance():
    """One distribution: halves of the references are about as far apart as the sides are."""
    found = features(clips=200, windows=1, shift=0.0)
    score, _ = build(ALL[0]).score(found, SETTINGS)
    assert 0.5 * score.value < score.details["reference_halves"] < 5 * score.value
    kl, _ = build(ALL[2]).score(found, SETTINGS)
    assert kl.details["reference_self"] == pytest.approx(0.0, abs=1e-12)
    assert kl.details["reference_halves"] == pytest.approx(kl.value, rel=0.3)  # unrelated pairs


def test_a_frechet_distance_has_its_bias_and_the_limit_is_without_it():
    moved, truth = features(clips=150, windows=1, shift=0.3), 6 * 0.3**2
    score, _ = build(ALL[0]).score(moved, SETTINGS)
    bias = score.details["bias"]
    assert bias["low"] < bias["estimate"] < bias["high"] < 2 * bias["low"]
    assert bias["without"] == pytest.approx(score.value - bias["estimate"])
    assert abs(bias["without"] - truth) < 0.5 * abs(score.value - truth)
    found = features(clips=150, windows=1, shift=0.0)  # the truth is zero
    score, _ = build(ALL[0]).score(found, SETTINGS)
    limit, notes = build(ALL[1]).score(found, SETTINGS)
    assert notes == []
    assert abs(limit.value) < 0.5 * score.value
    assert limit.details["plain"] == pytest.approx(score.value)
    assert 0 < limit.details["r2"] <= 1


def test_the_interval_covers_what_as_many_other_clips_give():
    """In the singular regime too, where bootstrap's own bias is larger than the distance."""
    for dim in (4, 80):
        values, intervals = [], []
        for seed in range(12):
            score, _ = build(ALL[0]).score(
                features(clips=40, windows=1, dim=dim, seed=seed),
                Bootstrap(resamples=60, confidence=0.95, seed=seed),
            )
            values.append(score.value)
            intervals.append(score.interval)
        mean = np.mean(values)
        covered = sum(low <= mean <= high for low, high in intervals)
        assert covered >= 10, (dim, covered)


def test_fewer_windows_than_dimensions_are_said():
    _, notes = build(ALL[0]).score(features(clips=12, windows=1, dim=40), SETTINGS)
    assert len(notes) == 1
    assert "12 reference and 12 generated embeddings for 40 dimensions" in notes[0]
    one = features(clips=12, windows=9, dim=40)
    few = features(clips=12, windows=1, dim=40).generated
    _, notes = build(ALL[0]).score(replace(one, generated=few), SETTINGS)
    assert len(notes) == 2
    assert "12 generated embeddings for 40 dimensions: the covariance is" in notes[0]
    assert "12 reference clips for 40 dimensions" in notes[1]
    score, notes = build(ALL[1]).score(features(clips=12, windows=1, dim=40), SETTINGS)
    assert (math.isnan(score.value), score.interval, notes) == (True, None, [])
    assert "no limit to rely on" in score.reason
    assert math.isfinite(score.details["unreliable_limit"])


def test_few_clips_have_no_interval():
    for row in ALL:
        score, _ = build(row, **({"splits": 2} if row[1]["kind"] == "inception" else {})).score(
            features(clips=7), SETTINGS
        )
        assert score.interval is None


def test_a_clip_alone_has_a_distance_from_all_references():
    found = features(windows=4)
    found.generated["embedding"][2] = found.generated["embedding"][2][:1]
    values = build(ALL[0]).values(found)
    assert math.isnan(values["clip002"])
    expected = frechet_from_features(joined(found)[0], found.generated["embedding"][7])
    assert values["clip007"] == pytest.approx(float(expected), rel=1e-9)
    wide = features(clips=5, windows=3, dim=30)
    expected = frechet_from_features(joined(wide)[0], wide.generated["embedding"][1])
    assert build(ALL[0]).values(wide)["clip001"] == pytest.approx(float(expected), rel=1e-9)
    assert build(ALL[0]).values(features(windows=1)) == {}


def test_options_of_other_tools():
    found = features()
    exact = build(ALL[0]).value(found)[0]
    for options in (
        {"statistics": "float32"},
        {"method": "scipy_sqrtm"},
        {"method": "eigenvalues"},
        {"vectors": "float16"},
    ):
        assert build(ALL[0], **options).value(found)[0] == pytest.approx(exact, rel=1e-3)
    assert build(ALL[0], vectors="float16").value(found)[0] != exact
    assert build(ALL[0], statistics="float32").value(found)[0] != exact
    same = build(ALL[6], bandwidth="generated", scale=1.0).value(found)[0]
    assert same != build(ALL[6], scale=1.0).value(found)[0]
    fadtk = build(ALL[1], recipe="fadtk", fewest=20).score(found, SETTINGS)[0]
    assert fadtk.details["recipe"] == "fadtk"


def test_classes():
    found = features()
    labels = ["dog", "rain", "rain"] * 10
    scores = build(ALL[2]).class_scores(found, labels, SETTINGS)
    values = build(ALL[2]).values(found)
    mine = [values[name] for name, label in zip(found.names, labels, strict=True) if label == "dog"]
    assert list(scores) == ["dog", "rain"]
    assert (scores["dog"].n, scores["rain"].n) == (10, 20)
    assert scores["dog"].value == pytest.approx(np.mean(mine))
    assert build(ALL[0]).class_scores(found, labels, SETTINGS) == {}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "fid"}, "kind must be one of frechet, .* got 'fid'"),
        ({}, "got None"),
        ({"kind": "frechet", "metod": "auto"}, "of kind frechet: no option metod"),
        ({"kind": "frechet", "method": "sqrt"}, "method must be one of"),
        ({"kind": "frechet", "vectors": "int8"}, "vectors must be one of float32, float16"),
        ({"kind": "frechet", "file_means": "int8"}, "file_means must be one of exact, float16"),
        ({"kind": "frechet", "epsilon": -1}, "epsilon must be a number from 0, got -1"),
        ({"kind": "kl", "epsilon": "1e-6"}, "epsilon must be a number from 0, got '1e-6'"),
        ({"kind": "kl", "epsilon": math.nan}, "epsilon must be a number from 0, got nan"),
        ({"kind": "kernel", "scale": 0}, "scale must be a number above 0, got 0"),
        ({"kind": "kernel", "bandwidth": None}, "bandwidth must be above 0 or one of"),
        ({"kind": "kernel", "bandwidth": True}, "bandwidth must be above 0 or one of"),
        ({"kind": "prdc", "value": "recall", "k": 2.5}, "k must be a whole number from 1, got 2.5"),
        ({"kind": "frechet_infinity", "seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"kind": "frechet_infinity", "points": 1}, "points must be a whole number from 3, got 1"),
        ({"kind": "kl", "direction": "forward"}, "direction must be one of"),
        ({"kind": "kl", "segments": "all"}, "segments must be one of"),
        ({"kind": "cosine_text", "items": "pairs"}, "items must be one of clips, captions"),
        ({"kind": "cosine_audio", "windows": "max"}, "windows must be one of"),
        ({"kind": "inception", "splits": 0}, "splits must be a whole number from 1, got 0"),
        ({"kind": "inception", "order": "random"}, "order must be one of"),
        ({"kind": "kernel", "bandwidth": 0}, "bandwidth must be above 0"),
        ({"kind": "prdc"}, "value"),
        ({"kind": "prdc", "value": "f1"}, "value must be one of precision"),
    ],
)
def test_wrong_options_are_refused_when_it_is_built(options, text):
    with pytest.raises(ValueError, match=text) as caught:
        build_feature_scorer("fad_vggish", options)
    assert "fad_vggish" in str(caught.value)


def test_an_output_the_network_does_not_have_is_the_cards_mistake():
    scorer = build_feature_scorer("fad_vggish", {"kind": "frechet", "output": "hidden"})
    with pytest.raises(ValueError, match="reads the output 'hidden', the network gives embedding"):
        scorer.score(features(), SETTINGS)
