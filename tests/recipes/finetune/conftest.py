"""Tiny models of one codec, their codes, and recordings with captions in their names."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiogen.checkpoint import save_model
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.text.hashed import HashedEncoder

RATE = 16_000


def write_model(folder: Path, *, seed: int = 0, codec_seed: int = 0, change: float = 0.0) -> Path:
    """A model that was never trained; ``change`` moves its head by noise of that deviation."""
    torch.manual_seed(codec_seed)
    codec = Codec(
        num_filters=2, dimension=8, lstm_layers=0, num_codebooks=2, codebook_size=16,
        kmeans_init=False,
    ).eval()  # fmt: skip
    torch.manual_seed(seed)
    lm = TokenLM(
        num_codebooks=2, codebook_size=16, text_dim=8, dim=16, num_layers=1, num_heads=2,
        delays=[0, 1],
    )  # fmt: skip
    text = HashedEncoder(dim=8, num_buckets=64, max_words=6)
    with torch.no_grad():
        lm.head.weight.add_(change * torch.randn(lm.head.weight.shape))
    card = {"name": "tiny", "licence": "CC0-1.0"}
    return save_model(folder, text=text, lm=lm, codec=codec, max_duration=0.5, card=card)


@pytest.fixture
def make_model():
    """Return what writes a model folder."""
    return write_model


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def own_sounds(tmp_path_factory) -> Path:
    """Twelve recordings of two kinds, named after them; two of them are no sound files."""
    root = tmp_path_factory.mktemp("own") / "my sounds"
    rng = np.random.default_rng(0)
    for i in range(12):
        kind = ("low hum", "high whistle")[i % 2]
        tone = np.sin(2 * np.pi * (200, 3000)[i % 2] * (1 + i / 40) * np.arange(9000) / RATE)
        (root / kind).mkdir(parents=True, exist_ok=True)
        sound = 0.3 * tone + 0.02 * rng.standard_normal(9000)
        soundfile.write(root / kind / f"{kind} {i:02d}.wav", sound, RATE)
    (root / "low hum" / "broken.wav").write_bytes(b"RIFF nothing")
    (root / "low hum" / "empty.wav").write_bytes(b"")
    return root
