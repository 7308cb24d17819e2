from itertools import pairwise, permutations

import pytest

from evaluation.preparation.steps import Steps
from evaluation.protocols.card import load_protocol, protocol_names
from evaluation.protocols.path import WHOLE, shared_metrics, walk


def own(card, key):
    """Return all that decides a metric: its options, and the features it is made of."""
    content = card.to_dict()
    options = dict(content["metrics"][key])
    name = options.pop("features", None)
    features = dict(content["features"][name]) if name else {}
    if name:
        features["input"] = Steps(features["input"]).canonical()
    return options, features


def whole(card):
    content = card.to_dict()
    steps = {name: Steps(content[name]).canonical() for name in ("input", "generated")}
    return {name: content[name] for name in WHOLE} | steps


@pytest.mark.parametrize(("start", "goal"), permutations(protocol_names(), 2))
def test_every_way_begins_at_one_card_and_ends_at_the_other(start, goal):
    a, b = load_protocol(start), load_protocol(goal)
    stops = walk(a, b)
    for key in shared_metrics(a, b):
        assert own(stops[0].card, key) == own(a, key)
        assert own(stops[-1].card, key) == own(b, key)
    assert whole(stops[0].card) == whole(a)
    assert whole(stops[-1].card) == whole(b)


@pytest.mark.parametrize(("start", "goal"), permutations(["audiocraft", "fadtk", "demo"], 2))
def test_every_stop_changes_what_it_says_and_only_that(start, goal):
    stops = walk(load_protocol(start), load_protocol(goal))
    for before, after in pairwise(stops):
        moved = [key for key in after.card.metrics if own(before.card, key) != own(after.card, key)]
        assert moved == list(after.own)
        changed = [n for n in WHOLE if whole(before.card)[n] != whole(after.card)[n]]
        assert len(changed) == (after.whole is not None)
        if changed:
            assert after.whole.startswith(f"{changed[0]}: ")


def test_steps_change_one_by_one_and_a_rate_between_two_is_no_stop():
    stops = walk(load_protocol("audiocraft"), load_protocol("stable_audio_metrics"))
    changes = [stop.own["clap_score"] for stop in stops if "clap_score" in stop.own]
    assert changes[:4] == [
        "step resample 16000 julius -> resample 48000 soxr_hq_librosa",
        "step resample 48000 julius left out",
        "step peak -1.0 added",
        "step pcm16 32767 truncate added",
    ]
    # a checkpoint comes with its tower: one without the other is no network
    assert changes[4].startswith("weights: music_audioset")
    assert "tower: base -> tiny" in changes[4]


def test_a_card_is_its_own_goal():
    card = load_protocol("default")
    assert len(walk(card, card)) == 1
