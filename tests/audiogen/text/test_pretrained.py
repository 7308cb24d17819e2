"""Outside encoders: which they are, how wide, where they lie, and what is said when they do not."""

import json
import os
import shutil
import socket
import sys
import time
from importlib.util import find_spec

import pytest
import torch

from audiogen.text.folders import TextEncoderError, content_of, lacks
from audiogen.text.t5 import T5Encoder


@pytest.fixture
def copied(t5_folder, tmp_path):
    return shutil.copytree(t5_folder, tmp_path / "t5")


@pytest.fixture
def hub(t5_folder, tmp_path, monkeypatch):
    """A cache of the hub that holds "someone/t5-tiny"; large files are links to their sha256."""
    repository = tmp_path / "hub" / "models--someone--t5-tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for file in t5_folder.iterdir():
        content = content_of(t5_folder)[file.name]
        blob = repository / "blobs" / content
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("t5-small", 512),
        ("t5-base", 768),
        ("google-t5/t5-large", 1024),
        ("t5-3b", 1024),
        ("t5-11b", 1024),
        ("google/flan-t5-small", 512),
        ("google/flan-t5-base", 768),
        ("google/flan-t5-large", 1024),
        ("google/flan-t5-xl", 2048),
        ("google/flan-t5-xxl", 4096),
        ("google/t5-v1_1-xl", 2048),
    ],
)
def test_widths_of_published_sizes_are_known(name, width):
    """Source: the d_model of the published configurations."""
    with pytest.raises(ValueError, match=rf"{name} gives states of width {width}, asked for is 7"):
        T5Encoder(name=name, dim=7, lazy=True)


def test_the_width_of_a_folder_is_read_without_its_weights(copied):
    encoder = T5Encoder(name=str(copied), lazy=True)
    assert (encoder.dim, encoder.is_loaded) == (32, False)
    assert T5Encoder(name=str(copied), dim=32, lazy=True).dim == 32
    with pytest.raises(ValueError, match=r"width 32, asked for is 1024: set text_dim=32"):
        T5Encoder(name=str(copied), dim=1024, lazy=True)


def test_a_width_that_only_the_weights_tell_is_checked_when_they_are_read(copied):
    encoder = T5Encoder(name=str(copied), dim=32, lazy=True)
    encoder.dim = 33  # as if its configuration had lied
    with pytest.raises(ValueError, match="width 32, asked for is 33"):
        encoder.encode(["a dog"])


def test_a_lazy_encoder_is_loaded_by_its_first_caption(copied):
    encoder = T5Encoder(name=str(copied), lazy=True)
    states, _ = encoder.encode([None, ""])
    assert (states.shape, encoder.is_loaded) == ((2, 1, 32), False)
    encoder.to("meta")
    encoder.tokenize(["a dog"])
    assert encoder.is_loaded
    assert {p.device.type for p in encoder.network.parameters()} == {"meta"}


def test_what_is_not_there_is_said_before_anything_is_loaded(copied, tmp_path, monkeypatch):
    """No network, no transformers: what can be known is said in the time of a look at the disk."""
    monkeypatch.setitem(sys.modules, "transformers", None)  # an import would fail
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    (copied / "model.safetensors").unlink()
    for name, message in (
        (str(tmp_path / "empty"), r"read from .*/empty: it has no config\.json\. Expected"),
        (str(copied), r"read from .*/t5: it has no model\.safetensors\. Expected"),
        ("someone/t5", r"HF_HUB_OFFLINE is set\. Check the spelling and the network, or download"),
        (str(tmp_path / "no"), "there is no such folder. Give a folder written by save_pretrained"),
    ):
        with pytest.raises(TextEncoderError, match=message):
            T5Encoder(name=name, dim=32, lazy=True)


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", address)
        monkeypatch.setattr("audiogen.text.folders.ANSWER", 0.2)
        with pytest.raises(TextEncoderError, match=r"'t5-small'.*deliver it.*give the fold"):
            T5Encoder(name="t5-small")


def test_what_the_hub_gave_before_is_read_without_asking_it(hub, t5_folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # no network is enough
    encoder = T5Encoder(name="someone/t5-tiny", dim=32, lazy=True)
    expected = T5Encoder(name=str(t5_folder))
    assert torch.equal(encoder.encode(["a dog"])[0], expected.encode(["a dog"])[0])
    assert encoder.identity() == expected.identity()  # a name of the hub's is its content


def test_large_files_of_the_hub_are_known_by_their_name(hub):
    """Reading gigabytes to know them would delay every start."""
    blob = (hub / "model.safetensors").resolve()
    before = content_of(hub)
    blob.write_bytes(b"")
    assert content_of(hub) == before


def test_half_a_download_is_not_taken_for_a_whole_one(hub):
    assert lacks(hub) is None
    (hub / "model.safetensors").rename(hub / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002"}}
    (hub / "model.safetensors.index.json").write_text(json.dumps(index))
    assert lacks(hub) == "1 of 2 files of weights are missing"
    with pytest.raises(TextEncoderError, match="hub did not deliver it: of what it gave, 1 of 2"):
        T5Encoder(name="someone/t5-tiny")
    (hub / "model.safetensors.index.json").write_text("{")
    assert lacks(hub) == "model.safetensors.index.json is damaged"


def _cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _nonsense(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 5000)


def _no_weights(folder):
    (folder / "model.safetensors").unlink()


def _no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _bad_tokenizer(folder):
    (folder / "tokenizer.json").write_text('{"model": 7}')


def _bad_config(folder):
    (folder / "config.json").write_text("{")


def _no_config(folder):
    (folder / "config.json").unlink()


def _deeper(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": 3}))


def _wider(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"d_ff": 96}))


def _pickle(folder):
    """A weight file that would run code, were it unpickled."""
    (folder / "model.safetensors").unlink()
    code = b"cos\nsystem\n(S'touch " + str(folder / "ran").encode() + b"'\ntR."
    (folder / "pytorch_model.bin").write_bytes(code)


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut, _nonsense, _no_weights, _no_tokenizer, _bad_tokenizer),
        *(_bad_config, _no_config, _deeper, _wider, _pickle),
    ],
)
def test_a_damaged_folder_is_refused_by_name(copied, damage):
    damage(copied)
    with pytest.raises(TextEncoderError, match=rf"no T5 encoder can be read from {copied}: ."):
        T5Encoder(name=str(copied))
    assert not (copied / "ran").exists()


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="reads it then")
def test_a_tokenizer_that_needs_another_package_names_it(copied):
    (copied / "tokenizer.json").rename(copied / "spiece.model")
    with pytest.raises(
        TextEncoderError, match=r"spiece\.model alone, .* pip install sentencepiece"
    ):
        T5Encoder(name=str(copied), lazy=True)


def test_loading_says_nothing(copied, capfd, caplog):
    T5Encoder(name=str(copied))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_tensors_that_are_missing_are_not_drawn(copied):
    """Transformers only mentions them, and random states look like any others."""
    _deeper(copied)
    with pytest.raises(
        TextEncoderError, match=r"8 tensors are missing: encoder\.block\.2\..*, \.\.\."
    ):
        T5Encoder(name=str(copied))


def test_long_captions_are_quick(copied):
    encoder = T5Encoder(name=str(copied))
    for caption in ("a dog barks " * 8334, "a" * 100_000, "🐕" * 100_000):
        started = time.process_time()
        states, mask = encoder.encode([caption])
        assert states.shape[1] == mask.sum() <= 512
        assert time.process_time() - started < 20  # and not minutes: nothing grows with the square


def test_a_limit_can_be_lifted(copied):
    encoder = T5Encoder(name=str(copied), max_tokens=None)
    assert encoder.encode(["a dog barks " * 200])[0].shape[1] > 512
    assert encoder.config["max_tokens"] is None
