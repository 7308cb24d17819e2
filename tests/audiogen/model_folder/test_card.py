"""The model card says what it was told, and what nobody told it."""

import pytest
import yaml

from audiogen.pipeline import AudioGen


def test_the_card_says_what_it_was_told_and_what_it_was_not(model, tmp_path):
    card = {"training_data": "200 synthetic clips", "stand_ins": ["hashed words for T5"]}
    text = (model.save_pretrained(tmp_path / "m", card=card) / "README.md").read_text()
    assert "200 synthetic clips" in text
    assert "- hashed words for T5" in text
    assert "not stated: ask the author" in text
    assert model.codec.fingerprint() in text


def test_a_card_of_objects_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="'licence' must be text"):
        model.save_pretrained(tmp_path / "m", card={"licence": object()})
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("base: CC-BY-4.0; fine-tuning: CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("MIT", "mit"),
        ("as you were permitted", "other"),
        ("not stated in the file (what Meta publishes is CC-BY-NC-4.0)", "unknown"),
        ("base: not stated: ask; fine-tuning: CC0-1.0", "unknown"),
        ("base: not stated: ask; fine-tuning: CC-BY-NC-4.0", "cc-by-nc-4.0"),
    ],
)
def test_the_header_names_the_licence_that_forbids_most(model, tmp_path, licence, identifier):
    folder = model.save_pretrained(tmp_path / "m", card={"licence": licence}, certificate=False)
    header = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert header["license"] == identifier
    assert ("license_name" in header) == (identifier == "other")
    assert header["pipeline_tag"] == "text-to-audio"
    assert header["library_name"] == "audiogen"
    assert header["language"] == ["en"]
    assert "audiogen" in header["tags"]
    assert "base_model" not in header


@pytest.mark.parametrize("key", ["made_from", "fine_tuned_from"])
def test_the_header_names_what_it_was_made_from(model, tmp_path, key):
    card = {key: "facebook/audiogen-medium, 0123", "language": ["en", "de"]}
    text = (model.save_pretrained(tmp_path / "m", card=card) / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["base_model"] == ["facebook/audiogen-medium"]
    assert header["language"] == ["en", "de"]
    assert "certificate.json: model = export by 8 frames of 3 prompt(s)" in text


def test_a_licence_goes_on_to_bind(saved, tmp_path):
    """Whatever is said of a model that was loaded, its own licence stays in its card."""
    model = AudioGen.from_pretrained(saved)
    again = model.save_pretrained(tmp_path / "again", certificate=False)
    assert "CC0-1.0" in (again / "README.md").read_text()
    model.card["licence"] = "CC-BY-NC-4.0"
    folder = model.save_pretrained(tmp_path / "b", card={"licence": "MIT"}, certificate=False)
    card = AudioGen.from_pretrained(folder).card
    assert card["licence"] == "CC-BY-NC-4.0, as what it was made from; MIT for what was added"
