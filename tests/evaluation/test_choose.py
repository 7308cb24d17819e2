from pathlib import Path

import pytest

from evaluation.choose import Means, choose_metrics, split_metrics, why_not
from evaluation.embedders.names import MODULES
from evaluation.protocols.card import load_protocol, protocol_names

EVERYTHING = Means(weights=None, random_weights=True, has_captions=True)


def nothing(tmp_path, **changes):
    return Means(**{"weights": tmp_path, "random_weights": False, "has_captions": False} | changes)


def test_random_weights_do_for_every_network_that_runs_here():
    for name in (
        "audiocraft", "default", "fadtk", "av_benchmark", "audioldm_eval_v2",
        "stable_audio_metrics",
    ):  # fmt: skip
        keys, missing = choose_metrics(load_protocol(name), None, EVERYTHING)
        assert keys, name
        assert not [reason for reason in missing.values() if "weights" in reason]


@pytest.mark.parametrize("name", protocol_names())
def test_every_network_of_every_card_runs_here(name):
    card = load_protocol(name)
    assert {features["network"] for features in card.features.values()} <= MODULES.keys()


def test_every_reason_is_given(tmp_path):
    reason = why_not("clap_score", load_protocol("audiocraft"), nothing(tmp_path))
    assert "weights missing" in reason
    assert "it needs --captions" in reason
    option = nothing(tmp_path, option="scores.weights=")
    assert "scores.weights=" in why_not("fad_vggish", load_protocol("audiocraft"), option)


def test_what_needs_no_network_is_left_but_is_not_the_protocol(tmp_path):
    card = load_protocol("audiocraft")
    keys, missing = split_metrics(card, None, nothing(tmp_path))
    assert keys == ["level_difference_db"]
    assert list(missing) == ["fad_vggish", "kld_passt", "clap_score"]
    with pytest.raises(ValueError, match="protocol audiocraft cannot be computed: the weights"):
        choose_metrics(card, None, nothing(tmp_path))
    assert choose_metrics(card, keys, nothing(tmp_path)) == (keys, {})


def test_cards_without_pretrained_networks_never_ask_for_weights(tmp_path):
    for name in ("demo", "codec"):
        assert choose_metrics(load_protocol(name), None, nothing(tmp_path))[0]


def test_only_a_caption_missing_is_not_said_to_be_weights(tmp_path):
    card = load_protocol("audiocraft")
    content = card.to_dict()
    content["metrics"] = {"clap_score": content["metrics"]["clap_score"]}
    card = type(card).from_dict(content)
    (tmp_path / Path(card.features["clap"]["weights"]).name).write_text("there")
    with pytest.raises(ValueError, match="clap_score: it needs --captions"):
        choose_metrics(card, None, nothing(tmp_path))
