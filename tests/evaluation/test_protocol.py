import math

import pytest
import yaml

from evaluation.protocol import FOLDER, ProtocolError, load_protocol, protocol_names


def test_every_shipped_card_loads_under_its_file_name():
    assert {"audiocraft", "codec", "demo"} <= set(protocol_names())
    for name in protocol_names():
        assert load_protocol(name).name == name


def test_the_audiocraft_card_says_what_the_model_card_was_made_with():
    card = load_protocol("audiocraft")
    assert card.generated_loudness == -14.0
    assert card.metrics["kld_passt"]["direction"] == "reference||generated"
    assert card.metrics["kld_passt"]["epsilon"] == 1e-6
    assert card.metrics["clap_score"]["checkpoint"] == "music_audioset_epoch_15_esc_90.14.pt"


def edited(tmp_path, **changes):
    content = yaml.safe_load((FOLDER / "demo.yaml").read_text()) | changes
    content = {key: value for key, value in content.items() if value != "REMOVE"}
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_one_changed_value_changes_the_hash_and_a_comment_does_not(tmp_path):
    same = tmp_path / "same.yaml"
    same.write_text("# another comment\n" + (FOLDER / "demo.yaml").read_text())
    assert load_protocol(same).sha256() == load_protocol("demo").sha256()
    other = edited(tmp_path, mono="first")
    assert load_protocol(other).sha256() != load_protocol("demo").sha256()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mono": "REMOVE"}, r"missing fields \['mono'\]"),
        ({"lenght": "cut"}, r"unknown fields \['lenght'\]"),
        ({"mono": "left"}, "mono must be one of mean, first, got 'left'"),
        ({"min_duration": "1e-3"}, "min_duration must be a number, got '1e-3'"),
        ({"metrics": {"frechet_logmel": {}}}, "Did you mean frechet_logmel_standin"),
        ({"metrics": {}}, "metrics must name one or more"),
        ({"metrics": {"level_difference_db": [1]}}, "options of level_difference_db must be a map"),
        ({"min_duration": math.nan}, "min_duration must be a number, got nan"),
        ({"generated_loudness": math.inf}, "generated_loudness must be a number, got inf"),
        *(
            (
                {"bootstrap": {"resamples": 10, "confidence": 0.9, "seed": 0} | change},
                "bootstrap needs",
            )
            for change in (
                {"resamples": 0},
                {"resamples": 1.5},
                {"confidence": 7},
                {"seed": -1},
            )
        ),
        ({"bootstrap": {"seed": 1}}, r"missing fields \['confidence', 'resamples'\]"),
    ],
)
def test_a_wrong_card_is_refused_by_field(tmp_path, changes, message):
    with pytest.raises(ProtocolError, match=message):
        load_protocol(edited(tmp_path, **changes))


def test_an_unknown_card_names_the_known_ones(tmp_path):
    with pytest.raises(
        ProtocolError, match=r"no protocol 'audiokraft'\. Known: audiocraft, codec, demo"
    ):
        load_protocol("audiokraft")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1\nb: 2")
    with pytest.raises(ProtocolError, match="not YAML"):
        load_protocol(path)
