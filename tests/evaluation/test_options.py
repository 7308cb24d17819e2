"""Options that do not fit are named in the words of a card."""

import pytest

from evaluation.embedders.registry import build_network
from evaluation.protocols.card import load_protocol
from evaluation.scorers.features import build_feature_scorer
from evaluation.scorers.waveforms import build_scorer

PYTHON = ("__init__", "argument", "instances", "keyword", "NoneType", "not supported")


def in_plain_words(caught):
    text = str(caught.value)
    assert not any(word in text for word in PYTHON), text
    return text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": "banana"}, "another kind than it takes, among sample_rate: 16000, patch: 'ban"),
        ({"patches": 1.0}, "network logmel: no option patches"),
        ({"patch": ...}, "network logmel: missing options: patch"),
    ],
)
def test_of_a_network(changes, said):
    options = {"sample_rate": 16000, "patch": 1.0, "hop": 0.5} | changes
    options = {name: value for name, value in options.items() if value is not ...}
    with pytest.raises(ValueError, match="network logmel") as caught:
        build_network("logmel", weights=None, options=options)
    assert said in in_plain_words(caught)


def test_of_a_metric_on_waveforms():
    card = load_protocol("codec")
    card.metrics["sisnr_audiocraft"].clear()
    with pytest.raises(ValueError, match="options of sisnr_audiocraft") as caught:
        build_scorer("sisnr_audiocraft", card)
    text = in_plain_words(caught)
    assert text.endswith("missing options: sample_rate, segment, overlap, segments")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "prdc"}, "missing options: value"),
        ({"kind": "kl", "window": 3}, "no option window"),
        ({"kind": "inception", "order": ["a"]}, "order"),
    ],
)
def test_of_a_score_over_features(options, said):
    with pytest.raises(ValueError, match="options of key, of kind") as caught:
        build_feature_scorer("key", options)
    assert said in in_plain_words(caught)
