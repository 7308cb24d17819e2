import copy
import subprocess
import sys

import pytest
import yaml

from evaluation.protocols.card import FOLDER, ProtocolError, load_protocol, protocol_names
from evaluation.protocols.title import card_title, is_shipped


def edited(tmp_path, old, new):
    path = tmp_path / "mine.yaml"
    text = (FOLDER / "audiocraft.yaml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("hop: 0.5", "hop: 0.25", "features.vggish.hop"),
        ("epsilon: 1.0e-6", "epsilon: 0", "metrics.kld_passt.epsilon"),
        ("target: -14.0", "target: -23.0", "generated"),
        ("peak: -1.0", "peak: -2.0", "features.vggish.input"),
        ("resamples: 400", "resamples: 2", "bootstrap.resamples"),
        ("    pca: null # FAD never uses it\n", "", "features.vggish.pca"),
    ],
)
def test_an_edited_copy_cannot_go_by_the_name_of_the_shipped_card(tmp_path, old, new, field):
    path = edited(tmp_path, old, new)
    with pytest.raises(
        ProtocolError, match=rf"version 3, .* and differs from it in {field}\. Give it a name"
    ):
        load_protocol(path)
    path.write_text(path.read_text().replace("name: audiocraft\n", "name: mine\n"))
    card = load_protocol(path)
    assert card_title(card.to_dict()) == "mine v3"
    assert not is_shipped(card.to_dict())


@pytest.mark.parametrize("name", ["Audiocraft", '" audiocraft "'])
def test_a_capital_or_a_blank_makes_no_other_name(tmp_path, name):
    path = edited(tmp_path, "hop: 0.5", "hop: 0.25")
    path.write_text(path.read_text().replace("name: audiocraft\n", f"name: {name}\n"))
    with pytest.raises(ProtocolError, match="Give it a name of its own"):
        load_protocol(path)


@pytest.mark.parametrize("name", protocol_names())
def test_a_copy_that_says_the_same_is_the_shipped_card(tmp_path, name):
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    path = tmp_path / "copy.yaml"  # without comments, numbers written by somebody else
    path.write_text(yaml.safe_dump(content | {"description": "other words"}))
    card = load_protocol(path)
    assert is_shipped(card.to_dict())
    assert card_title(card.to_dict()) == f"{name} v{card.version}"


def test_what_was_changed_in_memory_is_said():
    card = load_protocol("audiocraft")
    changed = card.changed("features.vggish.hop", 0.25).changed("metrics.kld_passt.epsilon", 0.0)
    title = card_title(changed.to_dict())
    assert title == "audiocraft v3, changed: features.vggish.hop, metrics.kld_passt.epsilon"
    assert card_title(card.changed("features.vggish.input.2.peak", -1).to_dict()) == "audiocraft v3"
    assert card_title(card.changed("version", 2).to_dict()) == "audiocraft v2, not the shipped v3"
    assert not is_shipped(card.changed("version", 2).to_dict())


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("generated", 5, "generated"),
        ("features", None, "features"),
        ("metrics", {"x": None}, "metrics.fad_vggish, metrics.kld_passt, metrics.clap_score, ..."),
        ("length", True, "length"),
        ("extra", {"a": 1}, "extra"),
    ],
)
def test_the_card_of_an_edited_report_need_not_be_one(place, value, said):
    content = copy.deepcopy(load_protocol("audiocraft").to_dict()) | {place: value}
    assert card_title(content) == f"audiocraft v3, changed: {said}"


def test_the_title_of_a_shipped_card_needs_no_torch():
    code = (
        "import sys; from evaluation.protocols.title import _read, card_title; "
        "assert card_title(dict(_read('audiocraft'))) == 'audiocraft v3'; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
