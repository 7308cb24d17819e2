"""From a trained model to the folder of the package: half the bytes, a card, a certificate."""

import json

import pytest
import torch

from audiogen import AudioGen
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.half import round_to_half
from audiogen.text.hashed import HashedEncoder
from recipes.embedded import build

SHARE = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 24}
LABELS = {"family": SHARE, "count": {"accuracy": None, "n": 0}, "pitch": SHARE}
SCORES = {
    "n": 24,
    "probe": {"main": "family"},
    "sets": {name: {"labels": LABELS} for name in build.SETS},
    "classes": [
        {"name": "bell", "accuracy": {"generated": 0.25}, "rms_ratio": {"generated": 0.9}},
        {"name": "dog", "accuracy": {"generated": 1.0}, "rms_ratio": {"generated": 0.7}},
    ],
}
PROMPTS = {"prompts": 28, "seeds": 8, "family": SHARE}


@pytest.fixture
def trained(tmp_path):
    """As training leaves it: a rounded codec, and a language model in float32."""
    torch.manual_seed(0)
    sizes = {"num_filters": 2, "dimension": 8, "lstm_layers": 0, "init": "scaled"}
    codec = Codec(**sizes, num_codebooks=2, codebook_size=8)
    round_to_half(codec)
    lm = TokenLM(
        num_codebooks=2, codebook_size=8, text_dim=4, dim=8, num_layers=1, num_heads=2,
        delays=[0, 1],
    )  # fmt: skip
    text = HashedEncoder(dim=4, num_buckets=32)
    model = AudioGen(text=text, lm=lm, codec=codec, max_duration=3.0, card={"updates": 7})
    return model.save_pretrained(tmp_path / "trained")


def run(*words):
    return build.main([str(word) for word in words])


def test_the_card_says_what_was_measured(trained, tmp_path, capsys):
    scores, prompts, out = (tmp_path / name for name in ("scores.json", "prompts.json", "out"))
    scores.write_text(json.dumps(SCORES))
    prompts.write_text(json.dumps(PROMPTS))
    told = ("--scores", scores, "--prompts", prompts)
    assert run("--model", trained, "--out", out, *told) == 0
    assert capsys.readouterr().out.strip() == str(out)
    config = json.loads((out / "config.json").read_text())
    assert config["stored_as"] == "float16"
    assert config["card"]["updates"] == 7
    measured = config["card"]["how_far_it_follows_a_caption"]
    line = "family 0.50 (0.40 to 0.60); count not said, pitch 0.50 (0.40 to 0.60)"
    assert f"generated, guidance 3: {line}" in measured
    assert any(line.endswith("bell 0.25 at 0.90, dog 1.00 at 0.70") for line in measured)
    assert "prompts of people's own (28, 8 sounds each): family 0.50 (0.40 to 0.60)" in measured
    certificate = json.loads((out / "certificate.json").read_text())
    assert certificate["written"] == "rounded"
    assert {"rounded", "export"} <= set(certificate["equal"])


def test_without_measurements_it_says_so_and_gives_the_same_model(trained, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("--model", trained, "--out", first) == 0
    assert run("--model", trained, "--out", second) == 0
    config = json.loads((first / "config.json").read_text())
    assert config["card"]["how_far_it_follows_a_caption"] == "not measured"
    for file in first.glob("*.safetensors"):
        assert file.read_bytes() == (second / file.name).read_bytes()
    assert run("--model", trained, "--out", first) == 0, "it replaces what it wrote"


def test_codes_of_an_unrounded_codec_are_refused(trained, tmp_path, capsys):
    model = AudioGen.from_pretrained(trained)
    with torch.no_grad():
        next(model.codec.parameters()).add_(1 / 3)
    assert run("--model", model.save_pretrained(tmp_path / "other"), "--out", tmp_path / "o") == 2
    assert "the codes of another: round the codec by recipes.embedded.half" in (
        capsys.readouterr().err
    )


def test_a_model_that_does_not_fit_is_refused(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(build, "LARGEST", 1000)
    assert run("--model", trained, "--out", tmp_path / "out") == 2
    assert "and 1000 fit: train a smaller model" in capsys.readouterr().err


def test_what_is_no_model_is_the_callers_mistake(tmp_path, capsys):
    assert run("--model", tmp_path / "none", "--out", tmp_path / "out") == 2
    assert "no model at" in capsys.readouterr().err
