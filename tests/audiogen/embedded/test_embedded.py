"""The model that comes with the package: there, small, offline, and it listens."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from safetensors.torch import load_file

from audiogen import AudioGen, embedded
from audiogen.checkpoint import find_folder, load_model
from audiogen.cli import main
from audiogen.embedded import FOLDER, LARGEST, about, is_there, known_words, unknown_words
from audiogen.model_folder.layout import check_files, read_config

ROOT = FOLDER.parents[2]
FILES = {"README.md", "certificate.json", "codec.safetensors", "config.json", "lm.safetensors",
         "text.safetensors", "words.txt"}  # fmt: skip
OFFLINE = """
import hashlib, socket, sys
def refuse(*_, **__):
    raise AssertionError("a connection was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import audiogen
model = audiogen.AudioGen.from_pretrained("embedded")
codes = model.generate_codes(["a dog barks twice"], duration=0.3, seed=5)
loaded = [name for name in ("transformers", "lightning", "hydra") if name in sys.modules]
print(hashlib.sha256(codes.numpy().tobytes()).hexdigest(), loaded)
"""


@pytest.fixture(scope="module")
def model():
    return AudioGen.from_pretrained("embedded")


def test_it_is_there_whole_and_fits():
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert files.keys() == FILES
    assert sum(files.values()) <= LARGEST
    check_files(FOLDER, read_config(FOLDER))
    assert is_there()


@pytest.mark.parametrize("builder", [WheelBuilder, SdistBuilder])
def test_wheel_and_source_hold_it(builder):
    held = {file.relative_path for file in builder(str(ROOT)).recurse_included_files()}
    assert {f"audiogen/embedded/model/{name}" for name in FILES} <= held


def test_stored_in_half_and_computed_in_float32(model):
    for name in ("codec", "lm", "text"):
        stored = {value.dtype for value in load_file(FOLDER / f"{name}.safetensors").values()}
        assert torch.float16 in stored
        assert torch.float32 not in stored
        part = getattr(model, name)
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}


def test_a_fresh_process_needs_no_network_and_gives_the_same_codes(model, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    codes = model.generate_codes(["a dog barks twice"], duration=0.3, seed=5)
    digest = hashlib.sha256(codes.numpy().tobytes()).hexdigest()
    assert done.stdout.split(maxsplit=1) == [digest, "[]\n"]


def test_it_listens_to_its_caption(model):
    """Thunder is dark, a small bird is bright, whatever the seed: centroids in Hz."""
    sounds = model.generate(
        ["loud thunder rolls once"] * 3 + ["a high loud bird chirps fast"] * 3, duration=1.5, seed=1
    )
    power = torch.fft.rfft(sounds[:, 0]).abs().square()
    hertz = torch.linspace(0, 8000, power.shape[1])
    centroids = (power * hertz).sum(1) / power.sum(1)
    assert centroids[:3].median() < 1000
    assert centroids[3:].median() > 2000


def test_words_that_it_never_met_are_named():
    assert unknown_words("a high bell rings three times") == []
    assert unknown_words("A Xylophone, and a xylophone; a GNU!") == ["xylophone", "gnu"]
    assert unknown_words("") == []
    assert known_words() == set((FOLDER / "words.txt").read_text().split())
    assert {"rain", "tin", "roof", "woof", "chimes", "thrice"} <= known_words()


def test_it_says_what_it_is_and_how_to_get_another():
    lines = about().splitlines()
    assert len(lines) == 2
    assert "procedural sounds" in lines[0]
    assert "--model facebook/audiogen-medium" in lines[1]


def test_its_card_says_licence_data_limits_and_what_was_measured():
    card = read_config(FOLDER)["card"]
    assert card["licence"] == "CC0-1.0"
    assert "procedural sounds" in card["training_data"]
    assert any("no speech" in line for line in card["what_it_does_not"])
    measured = card["how_far_it_follows_a_caption"]
    assert any(line.startswith("generated, guidance 3: family") for line in measured)
    assert str(measured[1]) in (FOLDER / "README.md").read_text("utf-8")


def test_a_folder_of_that_name_goes_first(tmp_path, monkeypatch, saved):
    assert find_folder("embedded") == FOLDER
    monkeypatch.chdir(tmp_path)
    saved.rename(tmp_path / "embedded")
    assert find_folder("embedded").resolve() == tmp_path / "embedded"


def test_it_has_no_revisions():
    with pytest.raises(ValueError, match="has no revisions"):
        load_model("embedded", revision="main")


def test_an_installation_without_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "none")
    assert not embedded.is_there()
    with pytest.raises(FileNotFoundError, match="no model at embedded"):
        find_folder("embedded")


def test_info_shows_it(capsys):
    assert main(["info", "embedded", "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "CC0-1.0" in shown
    assert "every file is what was saved" in shown
    assert "F16" in shown


def test_it_can_be_saved_and_loaded_again_as_float32(model, tmp_path):
    again = AudioGen.from_pretrained(model.save_pretrained(tmp_path / "copy"))
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    assert "stored_as" not in config
    codes = [m.generate_codes(["rain"], duration=0.2, seed=1) for m in (model, again)]
    assert torch.equal(*codes)
