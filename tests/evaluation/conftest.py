"""Two small folders of sounds that pair up, and tiny networks in the place of the large ones."""

import importlib.util
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000
WEIGHTS = {  # of the card audiocraft
    "vggish": "vggish-10086976.pth",
    "passt": "passt-s-f128-p16-s10-ap.476-swa.pt",
    "clap": "music_audioset_epoch_15_esc_90.14.pt",
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Keep the user's cache out of the tests, and the tests out of it."""
    for module in ("arguments", "features.command"):
        monkeypatch.setattr(f"evaluation.{module}.CACHE_FOLDER", tmp_path / "default-cache")


def write_noise(path, *, seed, gain=0.1, seconds=1.5, rate=RATE):
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(path, (gain * noise).clip(-1, 1), rate)


@pytest.fixture
def folders(tmp_path):
    reference, generated = tmp_path / "reference", tmp_path / "generated"
    reference.mkdir()
    generated.mkdir()
    for i in range(12):
        write_noise(reference / f"clip{i:02d}.wav", seed=i)
        write_noise(generated / f"clip{i:02d}.wav", seed=100 + i, gain=0.05)
    return reference, generated


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / "captions.csv"
    rows = "".join(f"clip{i:02d}.wav,burst number {i}\n" for i in range(12))
    path.write_text("file,caption\n" + rows)
    return path


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Put tiny networks in the place of VGGish, PaSST and CLAP; returns their module.

    Its `weights` is a folder with the files that the card audiocraft asks for.
    """
    from evaluation.embedders.names import MODULES

    path = Path(__file__).with_name("tiny_networks.py")
    spec = importlib.util.spec_from_file_location("tiny_networks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "tiny_networks", module)
    module.weights = tmp_path / "weights"
    module.weights.mkdir()
    for name, file in WEIGHTS.items():
        own = types.ModuleType(f"tiny_{name}")
        own.__spec__ = ModuleSpec(own.__name__, None)
        own.build = getattr(module, f"build_{name}")
        monkeypatch.setitem(sys.modules, own.__name__, own)
        monkeypatch.setitem(MODULES, name, own.__name__)
        (module.weights / file).write_text(name)
    return module
