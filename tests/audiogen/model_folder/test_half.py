"""Half the bytes, the same model."""

import json

import pytest
import torch
from safetensors.torch import load_file

from audiogen.checkpoint import load_codec, load_model, save_codec, save_model
from audiogen.model_folder.half import halved, round_to_half

PARTS = ("text", "lm", "codec")


@pytest.fixture
def parts(model):
    parts = {name: getattr(model, name) for name in PARTS}
    for part in parts.values():
        round_to_half(part)
    return parts


def test_a_folder_of_half_the_bytes_is_read_as_the_float32_that_was_saved(parts, tmp_path):
    whole = save_model(tmp_path / "whole", **parts)
    half = save_model(tmp_path / "half", **parts, half=True)
    loaded = load_model(half)
    for name, part in parts.items():
        state = getattr(loaded, name).state_dict()
        for key, value in part.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert state[key].dtype == value.dtype, key
                assert torch.equal(state[key], value), key
        file = f"{name}.safetensors"
        stored = {value.dtype for value in load_file(half / file).values()}
        assert torch.float16 in stored
        assert torch.float32 not in stored
        assert (half / file).stat().st_size < 0.75 * (whole / file).stat().st_size
    config = json.loads((half / "config.json").read_text())
    assert config["stored_as"] == "float16"
    # A reader of version 1 would compute in float16.
    assert config["oldest_reader"] == 2
    plain = json.loads((whole / "config.json").read_text())
    assert "stored_as" not in plain
    assert plain["oldest_reader"] == 1
    assert plain["codec_hash"] == config["codec_hash"]


def test_a_rounded_codec_is_the_codec_of_its_codes(make_model, tmp_path):
    codec = make_model().codec
    exact = codec.fingerprint()
    round_to_half(codec)
    assert codec.fingerprint() != exact
    assert load_codec(save_codec(codec, tmp_path)).fingerprint() == codec.fingerprint()


def test_weights_that_half_would_change_are_refused_and_nothing_is_written(model, tmp_path):
    with pytest.raises(ValueError, match="would change in float16: round the weights first"):
        save_model(tmp_path / "half", text=model.text, lm=model.lm, codec=model.codec, half=True)
    assert not (tmp_path / "half").exists()


def test_rounding_takes_the_nearest_and_refuses_what_is_beyond():
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(layer.weight, 1 + 2**-12)
    round_to_half(layer)
    assert layer.weight.item() == 1.0
    torch.nn.init.constant_(layer.bias, 70000.0)
    with pytest.raises(ValueError, match=r"bias reaches 7e\+04, beyond float16"):
        round_to_half(layer)


def test_counts_stay_whole_numbers():
    assert halved({"count": torch.tensor([70001])})["count"].dtype == torch.int64
