"""What a trained module is written as; the script is tested in test_run.py."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from audiogen.checkpoint import load_codec, load_model, save_codec
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.released import load_released
from audiogen.text.hashed import HashedEncoder
from audiogen.text.t5 import T5Encoder
from audiogen.training.callbacks import WeightAverage
from audiogen.training.export import _average, export_module, export_run
from audiogen.training.export_config import export
from audiogen.training.export_model import export_model
from audiogen.training.launch import RunError

T5 = Path(__file__).parents[2] / "golden" / "t5_tiny"


def tiny() -> Codec:
    return Codec(num_filters=2, dimension=4, ratios=[2], lstm_layers=0, codebook_size=4)


def test_the_published_file_holds_the_average(tmp_path):
    codec = tiny()
    module = SimpleNamespace(codec=codec, averaged=codec, updates=7)
    export_module(module, tmp_path / "last.bin", average=None, layout="released")
    assert load_released(tmp_path / "last.bin").fingerprint() == codec.fingerprint()

    average = SimpleNamespace(applied=halved, decay=0.9)
    export_module(module, tmp_path / "half.bin", average=average, layout="released")
    found = load_released(tmp_path / "half.bin").encoder.layers[0].conv.bias
    torch.testing.assert_close(found, codec.encoder.layers[0].conv.bias / 2)


@contextmanager
def halved(codec):
    """Within the block a bias is half of what it is."""
    bias = codec.encoder.layers[0].conv.bias.data
    bias.mul_(0.5)
    yield
    bias.mul_(2)


def language_model(text, **changes):
    """What `LMModule` has of a trained model."""
    keywords = {"num_codebooks": 2, "codebook_size": 4, "dim": 8, "num_heads": 2, "num_layers": 1}
    lm = TokenLM(**keywords, text_dim=text.dim, delays=[0, 1])
    codec = Codec(
        num_filters=2, dimension=4, ratios=[2], lstm_layers=0, codebook_size=4, num_codebooks=2
    )
    header = {"segment_frames": 4000, "frame_rate": 8000.0}
    return SimpleNamespace(
        lm=lm, text=text, load_codec=lambda: codec, header=header, averaged=lm, updates=7
    )


def test_a_trained_language_model_becomes_a_published_folder(tmp_path):
    module = language_model(T5Encoder(name=str(T5), lazy=True))
    card = {"licence": "CC0-1.0", "run": "lm-1"}
    export_module(
        module, tmp_path / "a", average=None, card=card, dtype="float16", layout="released"
    )
    parts = load_released(tmp_path / "a")
    assert parts.lm.config == module.lm.config
    assert torch.equal(parts.lm.head.weight, module.lm.head.weight.half().float())
    assert parts.codec.fingerprint() == module.load_codec().fingerprint()
    assert parts.max_duration == 0.5
    said = {"run": "lm-1", "updates": 7, "weights": "as trained"}
    assert parts.config["card"].items() >= said.items()

    average = SimpleNamespace(applied=zeroed, decay=0.9)
    export_module(module, tmp_path / "b", average=average, layout="released")
    averaged = load_released(tmp_path / "b")
    assert not averaged.lm.head.weight.any()
    assert averaged.config["card"]["weights"] == "moving average, decay 0.9"
    assert module.lm.head.weight.any()


@contextmanager
def zeroed(lm):
    """Within the block a language model predicts nothing."""
    kept = lm.head.weight.data.clone()
    lm.head.weight.data.zero_()
    yield
    lm.head.weight.data.copy_(kept)


def test_captions_that_the_layout_has_no_words_for(tmp_path):
    module = language_model(HashedEncoder(dim=6))
    with pytest.raises(ValueError, match=r"knows frozen T5 encoders only, .* by 'hashed'"):
        export_module(module, tmp_path / "x", average=None, layout="released")
    assert not list(tmp_path.iterdir())


def test_what_is_neither(tmp_path):
    with pytest.raises(RunError, match="a SimpleNamespace trained neither a codec nor a language"):
        export_module(SimpleNamespace(lm=1), tmp_path / "x", average=None, layout="released")
    with pytest.raises(RunError, match="dtype must be one of float32, float16, bfloat16, or null"):
        export_module(
            SimpleNamespace(), tmp_path / "x", average=None, dtype="int8", layout="released"
        )
    assert not list(tmp_path.iterdir())


def test_an_unknown_layout(tmp_path):
    with pytest.raises(
        RunError, match="format must be one of folder, released, transformers; got 'zip'"
    ):
        export_run(tmp_path, tmp_path / "out", layout="zip")


def test_the_certificate_tells_the_average_from_the_last_weights(tmp_path):
    """What is written is the average; how far the last weights are from it is said."""
    module = language_model(T5Encoder(name=str(T5), lazy=True))
    average = SimpleNamespace(applied=redrawn, decay=0.9)
    export_module(module, tmp_path / "a", average=average, layout="released", frames=6)
    found = json.loads((tmp_path / "a" / "certificate.json").read_text())
    assert found["written"] == "average"
    assert found["equal"] == ["average", "export"]
    assert list(found["differ"]) == ["trained"]
    assert "of sampled" in found["differ"]["trained"]
    codes = found["codes"]
    assert codes["average"] == codes["export"] != codes["trained"]
    assert found["measure"].startswith("6 frames")

    export_module(module, tmp_path / "b", average=None, layout="released", dtype="bfloat16")
    found = json.loads((tmp_path / "b" / "certificate.json").read_text())
    assert found["written"] == "trained in bfloat16"
    assert set(found["codes"]) == {"trained", "trained in bfloat16", "export"}

    export_module(module, tmp_path / "c", average=None, layout="released", certificate=False)
    assert not (tmp_path / "c" / "certificate.json").exists()


@contextmanager
def redrawn(lm):
    """Within the block a language model has other weights."""
    kept = lm.head.weight.data.clone()
    lm.head.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    yield
    lm.head.weight.data.copy_(kept)


def test_a_run_without_averaged_weights_is_told_so():
    average = {"_target_": "audiogen.training.callbacks.WeightAverage", "decay": 0.9}
    with_average = OmegaConf.create({"average": average})
    kept = WeightAverage(decay=0.9)
    whole = {"count": 1.0, "average": {"w": torch.ones(1)}, "updates": 3}
    state = {"callbacks": {kept.state_key: whole}}
    assert _average(with_average, state, Path("x"), "auto").average == whole["average"]
    assert _average(with_average, state, Path("x"), "trained") is None
    assert _average(OmegaConf.create({}), {}, Path("x"), "auto") is None
    for cfg, lacking in ((with_average, {}), (with_average, {"callbacks": {}}), ({}, state)):
        with pytest.raises(RunError, match="x holds no averaged weights: set weights=trained"):
            _average(OmegaConf.create(cfg), lacking, Path("x"), "average")
    with pytest.raises(RunError, match="weights must be one of auto, average, trained; got 'ema'"):
        export_run("run", "out", weights="ema")


def test_any_model_goes_out_in_any_layout(saved, tmp_path):
    """A folder, from there published, and back: the same model, its card and licence with it."""
    export_model(str(saved), tmp_path / "again")
    assert load_model(tmp_path / "again").config["card"] == load_model(saved).config["card"]
    codec = save_codec(load_model(saved).codec, tmp_path / "codec", card={"licence": "MIT"})
    export_model(str(codec), tmp_path / "codec.bin", layout="released")
    export_model(str(tmp_path / "codec.bin"), tmp_path / "back")
    assert load_codec(tmp_path / "back").fingerprint() == load_codec(codec).fingerprint()
    with pytest.raises(RunError, match="whole model, and this is a codec alone"):
        export_model(str(codec), tmp_path / "x", layout="transformers")
    with pytest.raises(RunError, match="dtype=float16 is for format=released and transformers"):
        export_model(str(saved), tmp_path / "x", dtype="float16")
    with pytest.raises(ValueError, match="MusicGen of transformers cannot hold text encoder"):
        export_model(str(saved), tmp_path / "x", layout="transformers")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "either run=RUN_FOLDER or model="),
        ({"run": "a", "model": "b"}, "either run=RUN_FOLDER or model="),
        ({"model": "b", "weights": "trained"}, "weights is for run="),
        ({"run": "b", "text_encoder": "t5"}, "text_encoder is for model="),
        ({"run": "b", "frames": 0}, "frames must be a whole number of at least 1, got 0"),
    ],
)
def test_words_that_do_not_go_together(changes, message):
    written = OmegaConf.load(Path(__file__).parents[3] / "conf" / "export.yaml")
    cfg = OmegaConf.merge(written, {"out": "x"}, changes)
    with pytest.raises(RunError, match=message):
        export(cfg)
