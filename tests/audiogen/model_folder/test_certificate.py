"""A certificate lies beside the weights it is of, and nobody loads others under it unawares."""

import json

import pytest

from audiogen.checkpoint import load_codec, load_model
from audiogen.cli import main
from audiogen.model_folder.certificate import (
    CHEAP,
    NONE,
    certificate_of,
    check_certificate,
    describe_certificate,
    read_certificate,
)
from audiogen.model_folder.layout import CheckpointError


def flip(path):
    """Change one bit of the last weight."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_flipped_bit_is_seen_when_the_model_is_loaded(saved):
    flip(saved / "lm.safetensors")
    with pytest.raises(CheckpointError, match=r"lm\.safetensors is not what certificate\.json"):
        load_model(saved)
    assert load_codec(saved)  # whose file is the one certified
    (saved / "certificate.json").unlink()
    assert load_model(saved)


def test_large_weights_are_hashed_only_when_asked(saved, monkeypatch):
    monkeypatch.setattr("audiogen.model_folder.certificate.CHEAP", 10)
    flip(saved / "lm.safetensors")
    check_certificate(saved, whole=False)
    with pytest.raises(CheckpointError, match="is not what certificate"):
        check_certificate(saved, whole=True)
    with (saved / "lm.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match="is not what certificate"):
        check_certificate(saved, whole=False)
    (saved / "text.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks text\.safetensors"):
        check_certificate(saved, whole=True)
    assert CHEAP > 1 << 20


def test_what_was_not_needed_to_load_may_be_missing(saved):
    """A text encoder that is read from elsewhere, say."""
    (saved / "text.safetensors").unlink()
    check_certificate(saved, whole=False)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"files": {"a": {}}, "codes": {}}', '{"files": {}}', '{"files": [1]}'],
)
def test_damage(saved, text):
    (saved / "certificate.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"certificate\.json is damaged"):
        load_model(saved)


def test_its_absence_is_visible(model, tmp_path, capsys):
    folder = model.save_pretrained(tmp_path / "m", certificate=False)
    assert not certificate_of(folder).exists()
    assert read_certificate(folder) is None
    assert describe_certificate(folder) == NONE
    assert main(["info", str(folder), "--verify"]) == 0
    assert "none: nobody compared it with what it was made of" in capsys.readouterr().out


def test_info_says_what_was_compared(saved, capsys):
    assert main(["info", str(saved), "--verify"]) == 0
    found = capsys.readouterr().out
    assert "model = export by 8 frames of 3 prompt(s), greedy and sampled" in found
    certificate = json.loads((saved / "certificate.json").read_text())
    certificate["files"]["lm.safetensors"]["sha256"] = "0" * 64
    (saved / "certificate.json").write_text(json.dumps(certificate))
    assert main(["info", str(saved), "--verify"]) != 0
    assert "lm.safetensors is not what certificate.json certifies" in capsys.readouterr().err


def test_a_folder_that_is_written_again_keeps_no_old_certificate(make_model, saved):
    make_model(seed=1).save_pretrained(saved, certificate=False)
    assert not (saved / "certificate.json").exists()
    assert load_model(saved)
