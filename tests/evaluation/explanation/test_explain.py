import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import evaluation.features.shelf
from evaluation.explanation.effect import difference
from evaluation.explanation.explain import affected, explain
from evaluation.explanation.show import explanation_page, explanation_text
from evaluation.explanation.sounds import drawn_clips
from evaluation.features.shelf import NetworkShelf
from evaluation.protocols.card import ProtocolCard, load_protocol
from evaluation.settings import Settings
from evaluation.suite import evaluate

KEY, LEVEL = "frechet_logmel_standin", "level_difference_db"


def effects(explanation, key=KEY):
    return {e["switch"]: e for e in explanation["scores"][key]["effects"]}


def test_an_effect_is_the_difference_of_two_evaluations(sounds, folders):
    card = load_protocol("demo")
    names = ["gain", "frechet: statistics", "length rule"]
    explanation = explain(sounds, card, names=names)
    found = effects(explanation)
    base = evaluate(*folders, protocol=card, sanity=False)
    content = card.to_dict()
    content["features"]["logmel"]["input"].append({"peak": -1.0})
    other = evaluate(
        sounds.sources.reference,
        sounds.sources.generated,
        protocol=ProtocolCard.from_dict(content),
        sanity=False,
    )
    a, b = base.scores[KEY].value, other.scores[KEY].value
    assert found["gain"]["value"] == pytest.approx(b, rel=1e-9)
    assert found["gain"]["effect"] == pytest.approx(b - a, rel=1e-9)
    assert found["gain"]["beyond_interval"]  # half of the distance is the level
    assert abs(found["frechet: statistics"]["effect"]) < 1e-3
    assert found["length rule"]["effect"] == 0  # both sides are as long
    sizes = [abs(e["effect"]) for e in explanation["scores"][KEY]["effects"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_value_per_clip_gives_the_effect_an_interval(sounds):
    explanation = explain(sounds, load_protocol("demo"), names=["gain"], metrics=[LEVEL])
    found = effects(explanation, LEVEL)["gain"]
    low, high = found["effect_interval"]
    assert low <= found["effect"] <= high
    assert found["effect"] == pytest.approx(6.02, abs=0.3)  # the level is all that was different


def test_half_of_the_clips_is_half_of_the_clips(sounds):
    explanation = explain(sounds, load_protocol("demo"), names=["clips"])
    found = explanation["scores"][KEY]["half_of_the_clips"]
    assert found["n"] == 6
    assert found["effect"] != 0
    assert effects(explanation) == {}  # no choice of a protocol
    assert "no choice of the protocol: a random half" in explanation_text(explanation)


def test_what_a_metric_does_not_see_is_not_called_without_effect(sounds):
    names = ["level rule", "resampler", "length rule", "frechet: statistics", "duration"]
    explanation = explain(sounds, load_protocol("demo"), names=names)
    level = explanation["scores"][LEVEL]
    others = {entry["switch"] for entry in level["does_not_apply"]}
    assert others == {"level rule", "resampler", "frechet: statistics"}
    assert {entry["switch"] for entry in level["effects"]} == {"length rule", "duration"}
    assert "does not apply to this metric: level rule, resampler, frechet: statistics\n" in (
        explanation_text(explanation)
    )
    lines = explanation_text(explanation).splitlines()
    assert not any(line.startswith("no effect: level rule") for line in lines)
    assert {entry["switch"] for entry in explanation["scores"][KEY]["effects"]} == set(names)


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (1.85785756, 1.85785756 + 4.44e-16, 0.0),
        (0.0, 0.0, 0.0),
        (1e-20, 2e-20, 1e-20),
        (-1e6, -1e6 + 1e-7, 0.0),
        (1.0, 1.0 + 1e-9, pytest.approx(1e-9, rel=1e-6)),
        (1.0, math.nan, None),
        (1.0, math.inf, None),
    ],
)
def test_a_difference_below_rounding_is_none(before, after, effect):
    assert difference(before, after) == effect


def test_what_cannot_be_tried_is_listed_with_the_reason(sounds):
    for path in sounds.sources.reference.iterdir():
        soundfile.write(path, soundfile.read(path)[0], 22050)
    explanation = explain(sounds, load_protocol("demo"), names=["resampler", "captions"])
    reasons = {entry["change"]: entry["reason"] for entry in explanation["not_tried"]}
    (why,) = [reason for change, reason in reasons.items() if change.endswith("decimate")]
    assert "no multiple" in why
    assert "not tried: resampler (sinc_kaiser64 -> decimate)" in explanation_text(explanation)


def test_missing_weights_are_listed_once_per_metric(sounds, tmp_path):
    card = load_protocol("audiocraft").to_dict()
    demo = load_protocol("demo").to_dict()
    card["features"] |= demo["features"]
    card["metrics"] = {"fad_vggish": card["metrics"]["fad_vggish"]} | demo["metrics"]
    card = ProtocolCard.from_dict(card | {"silence": "score"})
    (tmp_path / "empty").mkdir()
    empty = replace(sounds, settings=Settings(weights=tmp_path / "empty"))
    explanation = explain(empty, card, names=["checkpoint"], metrics=[KEY, LEVEL])
    assert explanation["not_tried"] == []  # nobody asked for the metrics of these networks
    with pytest.raises(ValueError, match="weights missing"):
        explain(empty, card, names=[], metrics=["fad_vggish"])


def test_what_moves_only_a_metric_without_weights_is_not_tried(sounds, tiny):
    (tiny.weights / "passt-s-f128-p16-s10-ap.476-swa.pt").unlink()
    taken = replace(sounds, settings=replace(sounds.settings, weights=tiny.weights))
    explanation = explain(taken, load_protocol("audiocraft"), names=["kl: epsilon"])
    assert [entry["switch"] for entry in explanation["not_tried"]] == ["kld_passt", "kl: epsilon"]
    assert explanation["not_tried"][1]["reason"] == "it changes kld_passt alone, not computed here"


def test_only_metrics_that_a_change_can_move_are_scored_again():
    card = load_protocol("audiocraft")
    keys = list(card.metrics)
    epsilon = card.changed("metrics.kld_passt.epsilon", 0.0)
    assert affected(card, epsilon, keys) == ["kld_passt"]
    window = card.changed("features.vggish.hop", 1.0)
    assert affected(card, window, keys) == ["fad_vggish"]
    assert affected(card, card.changed("length", "keep"), keys) == keys
    assert affected(card, card.changed("resampler", "soxr_hq"), keys) == [LEVEL]
    assert affected(card, card.changed("bootstrap.seed", 1), keys) == []


def test_the_way_toward_a_card_ends_at_what_that_card_says(sounds, folders):
    start = load_protocol("demo")
    goal = ProtocolCard.from_dict(
        start.to_dict()
        | {"name": "other", "length": "keep", "generated": [{"mono": "mean"}, {"peak": -3.0}]}
    )
    goal = goal.changed("features.logmel.hop", 1.0).changed(f"metrics.{KEY}.vectors", "float16")
    explanation = explain(sounds, start, toward=goal, names=[])
    way = explanation["toward"]["scores"][KEY]
    assert [stop["change"].split(":")[0] for stop in way] == [
        "as demo v2 says", "length", "generated", "hop", "vectors",
    ]  # fmt: skip
    values = {
        card.name: evaluate(
            sounds.sources.reference, sounds.sources.generated, protocol=card, sanity=False
        )
        for card in (start, goal)
    }
    assert way[0]["value"] == pytest.approx(values["demo"].scores[KEY].value, rel=1e-12)
    assert way[-1]["value"] == pytest.approx(values["other"].scores[KEY].value, rel=1e-12)
    total = sum(stop["effect"] for stop in way)
    assert total == pytest.approx(way[-1]["value"] - way[0]["value"], rel=1e-9)
    text = explanation_text(explanation)
    assert "toward other v" in text
    assert "length: cut -> keep" in text


def test_the_cache_spares_what_a_switch_does_not_touch(sounds):
    def entries():
        return {p.name for p in sounds.settings.cache.rglob("*.safetensors")}

    card = load_protocol("demo")
    explain(sounds, card, names=[])
    before = entries()
    explain(sounds, card, names=["frechet: vectors", "frechet: statistics", "clips"])
    assert entries() == before
    explain(sounds, card, names=["gain"])
    assert len(entries()) == 2 * len(before)


@pytest.fixture
def builds(monkeypatch):
    """Names of the networks that are really built, in order."""
    found, build = [], evaluation.features.shelf.build_network

    def counted(name, **given):
        found.append(name)
        return build(name, **given)

    monkeypatch.setattr(evaluation.features.shelf, "build_network", counted)
    return found


def test_a_network_is_built_again_only_where_it_is_another(sounds, builds):
    card = load_protocol("demo")
    explain(sounds, card, names=["gain", "offset", "resampler", "level rule", "clips"])
    assert builds == ["logmel"]
    names = ["frechet: vectors", "windows", "frechet: statistics"]
    explanation = explain(replace(sounds, shelf=NetworkShelf()), card, names=names)
    assert builds == ["logmel"] * 3
    assert set(effects(explanation)) == set(names)


def test_the_way_toward_a_card_builds_what_that_card_has_of_its_own(sounds, builds):
    start = load_protocol("demo")
    goal = start.changed("generated", [{"peak": -3.0}]).changed("features.logmel.hop", 1.0)
    goal = goal.changed(f"metrics.{KEY}.vectors", "float16")
    way = explain(sounds, start, toward=goal, names=[])["toward"]["scores"][KEY]
    assert len(way) == 4
    assert builds == ["logmel", "logmel"]


def test_an_option_of_a_metric_runs_no_network(sounds, tiny, builds):
    card = load_protocol("audiocraft")
    means = replace(sounds.settings, weights=tiny.weights)
    taken = replace(sounds, settings=means)
    explain(taken, card, names=[])
    calls = tiny.calls | {}
    names = ["kl: direction", "kl: epsilon", "kl: activation", "frechet: vectors", "clips"]
    explanation = explain(taken, card, names=names)
    assert tiny.calls == calls
    assert builds == ["vggish", "passt", "clap"]
    assert set(effects(explanation, "kld_passt")) == {*names} - {"frechet: vectors", "clips"}
    assert set(effects(explanation, "fad_vggish")) == {"frechet: vectors"}
    explain(taken, card, names=["precision", "kl: epsilon"])
    assert len(builds) == 3 + 3  # as bfloat16; those of the card are still there
    assert tiny.calls["text"] == 2 * calls["text"]


def test_drawn_clips_are_pairs_of_the_whole_set_and_the_same_each_time(sounds):
    card = load_protocol("demo")
    names = []
    for _ in range(2):
        with drawn_clips(sounds, card, 5) as taken:
            names.append(sorted(path.name for path in taken.sources.reference.iterdir()))
            assert names[-1] == sorted(path.name for path in taken.sources.generated.iterdir())
            folder = taken.sources.reference
        assert not folder.exists()
    assert names[0] == names[1]
    assert len(names[0]) == 5
    with drawn_clips(sounds, card, 12) as taken:
        assert taken is sounds
    with pytest.raises(ValueError, match="two clips or more"), drawn_clips(sounds, card, 1):
        pass


def test_without_any_score_there_is_nothing_to_explain(sounds):
    for path in sounds.sources.generated.iterdir():
        soundfile.write(path, np.zeros(24000), 16000)
    with pytest.raises(ValueError, match="no score to explain: level_difference_db: no pair has"):
        explain(sounds, load_protocol("demo"), metrics=[LEVEL])


def test_text_and_page(sounds):
    pytest.importorskip("jinja2")
    explanation = explain(sounds, load_protocol("demo"), names=["gain", "length rule", "offset"])
    json.dumps(explanation, allow_nan=False)
    text = explanation_text(explanation)
    assert re.search(r"gain +no gain -> peak at -1 dB .* #{20} +beyond it", text)
    assert "no effect: length rule (cut -> keep)" in text
    page = explanation_page(explanation)
    assert "gain" in page
    assert "<svg" in page
    assert not re.search(r"https?:|src=|href=(?!\"#)", page)


def test_a_score_that_a_switch_takes_away_is_said(sounds):
    for path in list(sounds.sources.generated.iterdir())[:3]:
        soundfile.write(path, np.zeros(24000), 16000)
    card = load_protocol("demo")
    explanation = explain(sounds, card, names=["length rule"], metrics=[LEVEL])
    assert explanation["scores"][LEVEL]["n"] == 9
    assert effects(explanation, LEVEL)["length rule"]["effect"] == 0
