import json
import math

import pytest
import yaml

from evaluation.protocols.card import (
    FOLDER,
    ProtocolCard,
    ProtocolError,
    load_protocol,
    protocol_names,
)


def edited(tmp_path, **changes):
    content = yaml.safe_load((FOLDER / "demo.yaml").read_text()) | {"name": "mine"} | changes
    content = {key: value for key, value in content.items() if value != "REMOVE"}
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_one_changed_value_changes_the_hash_and_a_comment_does_not(tmp_path):
    same = tmp_path / "same.yaml"
    same.write_text("# another comment\n" + (FOLDER / "demo.yaml").read_text())
    assert load_protocol(same).sha256() == load_protocol("demo").sha256()
    other = edited(tmp_path, input=[{"mono": "first"}])
    assert load_protocol(other).sha256() != load_protocol("demo").sha256()


@pytest.mark.parametrize("name", protocol_names())
def test_json_and_back_is_the_same_card(tmp_path, name):
    card = load_protocol(name)
    assert ProtocolCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card.to_dict()))
    assert load_protocol(path).sha256() == card.sha256()


def test_how_a_number_or_step_is_written_does_not_change_the_hash():
    card = load_protocol("audiocraft")
    same = card.changed("features.vggish.input.2.peak", -1)
    assert same.sha256() == card.sha256()
    written_out = card.changed("features.vggish.input.2", {"peak": {"level": -1.0}})
    assert written_out.sha256() == card.sha256()
    assert card.changed("features.vggish.input.2.peak", -2).sha256() != card.sha256()


def test_the_order_of_steps_is_part_of_the_hash():
    card = load_protocol("audiocraft")
    steps = list(card.features["vggish"]["input"])
    steps[0], steps[1] = steps[1], steps[0]
    assert card.changed("features.vggish.input", steps).sha256() != card.sha256()


def test_a_changed_card_leaves_the_first_one_alone():
    card = load_protocol("audiocraft")
    before = card.sha256()
    louder = card.changed("generated.2.loudness.target", -20.0)
    assert louder.generated[2] == {"loudness": {"target": -20.0, "floor": 0.002}}
    assert card.sha256() == before != louder.sha256()
    assert card.changed("metrics.kld_passt.extra", 1).metrics["kld_passt"]["extra"] == 1


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metric.kld_passt.epsilon", 0, r"no 'metric' in the card\. Did you mean metrics"),
        ("metrics.kld_past.epsilon", 0, r"no 'kld_past' in metrics\. Did you mean kld_passt"),
        ("generated.9.loudness", 0, r"no '9' in generated"),
        ("generated.-1", "clip", r"no '-1' in generated"),
        ("lenght", "cut", r"no 'lenght' to change in the card\. Did you mean length"),
        ("name.x", 0, r"no 'name.x' to change"),
        ("length", "cutt", "with length = 'cutt': length must be one of cut, keep, match"),
        ("generated.2.loudness.target", "loud", "generated: step loudness: target must be"),
        ("", 1, "no '' to change"),
    ],
)
def test_a_change_that_cannot_be_made_says_where(path, value, message):
    with pytest.raises(ProtocolError, match=message):
        load_protocol("audiocraft").changed(path, value)


BOOTSTRAP = {"resamples": 10, "confidence": 0.9, "seed": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": "REMOVE"}, r"missing fields \['length'\]"),
        ({"lenght": "cut"}, r"unknown fields \['lenght'\] in the card\. Did you mean length"),
        ({"mono": "mean"}, r"unknown fields \['mono'\]"),
        ({"length": "left"}, "length must be one of cut, keep, match, got 'left'"),
        ({"length": ["cut"]}, r"length must be one of cut, keep, match, got \['cut'\]"),
        ({"resampler": {"a": 1}}, "resampler must be one of julius"),
        ({"min_duration": "1 s"}, "min_duration must be a number, got '1 s'"),
        ({"min_duration": -1}, "min_duration must be at least 0, got -1"),
        ({"min_duration": True}, "min_duration must be a number, got True"),
        ({"min_duration": math.nan}, "min_duration must be a number, got nan"),
        ({"version": 1.5}, "version must be a whole number from 1, got 1.5"),
        ({"name": 5}, "name must be text, got 5"),
        ({"description": " "}, "description must be text"),
        ({"captions": True}, "captions must be one of first, all, listed, none"),
        ({"metrics": {"frechet_logmel": {}}}, "Did you mean frechet_logmel_standin"),
        ({"metrics": {}}, "metrics must name one or more"),
        ({"metrics": ["si_sdr"]}, "metrics must name one or more"),
        ({"metrics": {"level_difference_db": [1]}}, "level_difference_db: options must be a map"),
        ({"bootstrap": {"seed": 1}}, r"missing fields \['resamples', 'confidence'\]"),
        ({"bootstrap": None}, "expected a mapping for bootstrap, got None"),
        ({"bootstrap": BOOTSTRAP | {"resamples": 0}}, "resamples must be a whole number from 1"),
        ({"bootstrap": BOOTSTRAP | {"resamples": 1.5}}, "resamples must be a whole number"),
        ({"bootstrap": BOOTSTRAP | {"confidence": 7}}, "confidence lies between 0 and 1"),
        ({"bootstrap": BOOTSTRAP | {"seed": -1}}, "seed must be a whole number from 0"),
        ({"test_list": "audiocaps"}, "expected a mapping for test_list"),
        ({"features": None}, "features must name"),
        ({"input": []}, "input must lead to one channel"),
        ({"input": ["stereo"]}, "input must lead to one channel"),
        ({"input": [{"mono": "joined"}]}, "input must lead to one channel with `mono: mean`"),
        ({"input": {"mono": "mean"}}, "input: expected a list of steps"),
        ({"input": [{"mono": "left"}]}, "input: step mono: .* first or joined, got 'left'"),
        ({"generated": ["clipp"]}, r"generated: unknown step 'clipp'\. Did you mean clip"),
    ],
)
def test_a_wrong_card_is_refused_by_field(tmp_path, changes, message):
    with pytest.raises(ProtocolError, match=message):
        load_protocol(edited(tmp_path, **changes))


def test_an_unknown_card_names_the_known_ones():
    message = r"no protocol 'audiokraft'\. Did you mean audiocraft\? Known: .*, codec, .*demo"
    with pytest.raises(ProtocolError, match=message):
        load_protocol("audiokraft")
