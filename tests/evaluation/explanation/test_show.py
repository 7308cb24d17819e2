from dataclasses import replace

import pytest

from evaluation.explanation.explain import explain
from evaluation.explanation.show import explanation_page, explanation_text
from evaluation.protocols.card import load_protocol

KEY, LEVEL = "frechet_logmel_standin", "level_difference_db"


def test_only_the_metrics_that_were_asked_for_are_spoken_of(sounds):
    card = load_protocol("demo")
    goal = card.changed("length", "keep").to_dict()
    del goal["metrics"][KEY]
    goal = type(card).from_dict(goal | {"name": "goal"})
    names = ["gain", "frechet: statistics", "level rule"]
    explanation = explain(sounds, card, toward=goal, metrics=[LEVEL], names=names)
    assert explanation["not_tried"] == []
    others = [entry["switch"] for entry in explanation["scores"][LEVEL]["does_not_apply"]]
    assert others == ["level rule", "frechet: statistics"]
    assert explanation["toward"]["only_in_start"] == []
    assert KEY not in explanation_text(explanation)
    everything = explain(sounds, card, toward=goal, names=names)
    assert (
        everything["scores"][LEVEL]["does_not_apply"]
        == (explanation["scores"][LEVEL]["does_not_apply"])
    )
    assert everything["toward"]["only_in_start"] == [KEY]


def test_the_legend_speaks_of_brackets_only_where_there_are_some(sounds):
    card = load_protocol("demo")
    of_sets = explain(sounds, card, metrics=[KEY], names=["gain"])
    assert "in brackets" not in explanation_text(of_sets)
    of_clips = explain(sounds, card, metrics=[LEVEL], names=["gain"])
    assert "in brackets its interval" in explanation_text(of_clips)


def test_random_weights_are_said_first_and_marked_at_each_value(sounds, tiny):
    pytest.importorskip("jinja2")
    card = load_protocol("audiocraft")
    goal = card.changed("metrics.kld_passt.epsilon", 0.0)
    taken = replace(sounds, settings=replace(sounds.settings, random_weights=True))
    options = {"toward": goal, "names": ["kl: direction"], "metrics": ["kld_passt", LEVEL]}
    explanation = explain(taken, card, **options)
    assert explanation["stand_in"]
    marks = {key: score["stand_in"] for key, score in explanation["scores"].items()}
    assert marks == {"kld_passt": True, LEVEL: False}
    stops = explanation["toward"]["scores"]
    assert [stop["stand_in"] for stop in stops["kld_passt"]] == [True, True]
    assert not any(stop["stand_in"] for stop in stops[LEVEL])
    text = explanation_text(explanation)
    assert text.startswith("STAND-IN NETWORKS: KL divergence of PaSST classes: random weights.")
    way = text.split("toward audiocraft", 1)[1].split("\n\n")[0]
    assert way.count("\u2020") == 2
    assert "\u2020 Random weights" in text
    page = explanation_page(explanation)
    assert page.index("STAND-IN NETWORKS") < page.index("<h2>")
    assert "kl: direction" in page
    trained = explain(replace(sounds, settings=replace(sounds.settings, weights=tiny.weights)),
                      card, **options)  # fmt: skip
    assert not trained["stand_in"]
    assert "\u2020" not in explanation_text(trained)
    assert "STAND-IN" not in explanation_page(trained)
