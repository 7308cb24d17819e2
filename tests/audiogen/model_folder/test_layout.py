"""What is wrong with a model folder is named: which file, which key, what to do."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audiogen.checkpoint import load_model
from audiogen.model_folder.layout import CheckpointError, read_config


def change_config(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def rewrite(path: Path, change) -> None:
    """Change tensors and keep config.json true about the size, as a careful forger would."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    config = json.loads((path.parent / "config.json").read_text())
    config["files"][path.name]["bytes"] = path.stat().st_size
    (path.parent / "config.json").write_text(json.dumps(config))


def test_a_file_is_not_a_folder(saved):
    with pytest.raises(CheckpointError, match="is a file: give the folder"):
        load_model(saved / "config.json")


def test_not_a_model_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"no config.json, .*\(it holds notes.txt\)"):
        load_model(tmp_path)


def test_a_published_codec_is_no_whole_model(tmp_path):
    (tmp_path / "compression_state_dict.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"published codec .* put state_dict.bin beside it"):
        load_model(tmp_path)


def test_a_config_of_another_format(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(CheckpointError, match="its format is None instead of"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="its format is None instead of"):
        load_model(tmp_path)


def test_a_config_that_is_not_json(saved):
    (saved / "config.json").write_text('{"format": ')
    with pytest.raises(CheckpointError, match=r"config\.json is not JSON"):
        load_model(saved)


def test_versions(saved):
    change_config(saved, version=7, oldest_reader=1, something_new={"a": 1})
    load_model(saved)  # a later layout that says it can be read today
    change_config(saved, version=8, oldest_reader=8)
    with pytest.raises(CheckpointError, match=r"layout version 8.*update it"):
        load_model(saved)


def test_a_config_without_a_part(saved):
    config = json.loads((saved / "config.json").read_text())
    del config["lm"]
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json lacks lm"):
        load_model(saved)


@pytest.mark.parametrize("name", ["codec.safetensors", "lm.safetensors", "text.safetensors"])
def test_truncated_and_missing_files(saved, name):
    path = saved / name
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with pytest.raises(CheckpointError, match=rf"{name} has {len(data) - 10} bytes instead of"):
        load_model(saved)
    path.write_bytes(b"\x00" * len(data))
    with pytest.raises(CheckpointError, match=rf"{name} is not a safetensors file"):
        load_model(saved)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing"):
        load_model(saved)


def test_every_wrong_key_is_listed(saved):
    def change(tensors):
        del tensors["norm.weight"]
        tensors["norm.gain"] = torch.ones(16)
        tensors["head.weight"] = torch.zeros(5, 16)

    rewrite(saved / "lm.safetensors", change)
    with pytest.raises(CheckpointError) as error:
        load_model(saved)
    assert "missing: norm.weight" in str(error.value)
    assert "unexpected: norm.gain" in str(error.value)
    assert "mis-shaped: head.weight [5, 16] instead of [48, 16]" in str(error.value)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lm": []}, "lm"),
        ({"text": None}, "text"),
        ({"card": "x"}, "card"),
        ({"files": []}, "files"),
        ({"files": {"lm.safetensors": {"sha256": "0"}}}, r"files\['lm.safetensors'\]"),
        ({"max_duration": "long"}, "max_duration"),
    ],
)
def test_a_config_changed_by_hand(saved, change, key):
    change_config(saved, **change)
    with pytest.raises(CheckpointError, match=rf"config\.json: {key} is not what was saved"):
        load_model(saved)


def test_a_text_encoder_that_is_not_listed_is_missed(saved):
    config = json.loads((saved / "config.json").read_text())
    del config["files"]["text.safetensors"]
    change_config(saved, files=config["files"])
    with pytest.raises(FileNotFoundError, match=r"text\.safetensors is missing and not listed"):
        load_model(saved)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        read_config(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[" * 100000)
    with pytest.raises(CheckpointError, match="is not JSON"):
        read_config(tmp_path)
