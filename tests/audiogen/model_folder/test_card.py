"""The model card says what it was told, and what nobody told it."""

import pytest


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
