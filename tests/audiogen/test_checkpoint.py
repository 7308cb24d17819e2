"""Model folders: what was saved comes back bit for bit, and only with its own codec."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from audiogen.checkpoint import CheckpointError, load_codec, load_model, save_codec, save_model
from audiogen.codec.model import Codec
from audiogen.pipeline import AudioGen
from audiogen.text.t5 import T5Encoder


def test_a_saved_model_generates_the_same_bits(model, saved):
    loaded = AudioGen.from_pretrained(saved)
    call = {"descriptions": ["a dog barks", None], "duration": 0.15, "seed": 3}
    assert torch.equal(loaded.generate_codes(**call), model.generate_codes(**call))
    assert torch.equal(loaded.generate(**call), model.generate(**call))
    assert loaded.max_duration == model.max_duration
    assert loaded.card["licence"] == "CC0-1.0"


def test_a_saved_codec_is_the_same_codec(model, tmp_path):
    save_codec(model.codec, tmp_path / "codec")
    loaded = load_codec(tmp_path / "codec")
    assert loaded.fingerprint() == model.codec.fingerprint()
    assert not loaded.training
    waveform = torch.linspace(-1, 1, 700).view(1, 1, -1)
    assert torch.equal(loaded.encode(waveform)[0], model.codec.encode(waveform)[0])


def test_the_codec_of_a_whole_model_loads_alone(model, saved):
    assert load_codec(saved).fingerprint() == model.codec.fingerprint()


def test_loading_draws_nothing_from_the_global_stream(saved):
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_is_kept_on_disk_and_widened_on_the_cpu(model, tmp_path):
    model.lm.to(torch.bfloat16)
    path = model.save_pretrained(tmp_path / "half")
    assert load_file(path / "lm.safetensors")["head.weight"].dtype == torch.bfloat16
    assert load_model(path).lm.head.weight.dtype == torch.float32
    parts = load_model(path, dtype=torch.bfloat16)
    assert parts.lm.head.weight.dtype == torch.bfloat16
    assert parts.codec.decoder.layers[0].conv.weight.dtype == torch.float32


def test_missing_folder():
    with pytest.raises(FileNotFoundError, match="no model at nowhere/at/all: there is no such"):
        load_model("nowhere/at/all")


def test_a_keyword_this_version_does_not_know(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"lm": config["lm"] | {"rotary": True}}))
    with pytest.raises(CheckpointError, match=r"cannot be built here: .*rotary"):
        load_model(saved)


def test_another_codec_is_refused(make_model, saved, tmp_path):
    other = save_codec(make_model(seed=1).codec, tmp_path / "other")
    (saved / "codec.safetensors").write_bytes((other / "codec.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="not the codec this model was made with"):
        load_model(saved)


def test_a_codec_folder_is_not_a_model(model, tmp_path):
    path = save_codec(model.codec, tmp_path / "codec")
    with pytest.raises(CheckpointError, match="holds a codec only"):
        load_model(path)


def test_a_text_encoder_of_ones_own_has_no_other_place(saved):
    with pytest.raises(CheckpointError, match="leave text_encoder out"):
        load_model(saved, text_encoder="t5-small")


def test_unit_of_the_public_functions(model, tmp_path):
    """`save_model` takes the parts, as training does, and gives back the folder."""
    path = save_model(
        tmp_path / "m", text=model.text, lm=model.lm, codec=model.codec, max_duration=2.5
    )
    assert load_model(path).max_duration == 2.5


def test_a_codec_loads_by_its_own_class(model, saved):
    assert Codec.from_pretrained(saved).fingerprint() == model.codec.fingerprint()


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory):
    """A random T5 of 8 units and a tokenizer of four words, as transformers saves them."""
    import transformers

    path = tmp_path_factory.mktemp("t5")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(f"▁{word}", -1.0) for word in ("a", "dog", "barks", "rain")]
    transformers.T5Tokenizer(vocab=pieces, extra_ids=0).save_pretrained(path)
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.T5EncoderModel(config).save_pretrained(path)
    return path


def test_an_outside_text_encoder_is_named_not_copied(model, t5_folder, tmp_path):
    t5 = T5Encoder(name=str(t5_folder))
    model = AudioGen(text=t5, lm=model.lm, codec=model.codec, max_duration=0.1)
    folder = model.save_pretrained(tmp_path / "m")
    assert not (folder / "text.safetensors").exists()
    expected = model.generate_codes(["a dog barks"], duration=0.04, seed=1)

    t5.config = {**t5.config, "name": "someone/t5"}  # as if it had come from the hub
    folder = model.save_pretrained(folder)
    with pytest.raises(OSError, match="someone/t5"):
        AudioGen.from_pretrained(folder)
    shutil.copytree(t5_folder, folder / "encoder")
    for place in (t5_folder, "encoder"):
        loaded = AudioGen.from_pretrained(folder, text_encoder=place)
        again = loaded.generate_codes(["a dog barks"], duration=0.04, seed=1)
        assert torch.equal(again, expected)
        assert loaded.text.config["name"] == "someone/t5"
