"""A model small enough to build in milliseconds: 500 frames per second, windows of 0.1 s."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.pipeline import AudioGen
from audiogen.text.hashed import HashedEncoder


def build_codec(**changes: object) -> Codec:
    """Hop of 32 samples; random weights large enough to give sound."""
    keywords = {
        "num_filters": 2,
        "dimension": 8,
        "ratios": (4, 4, 2),
        "lstm_layers": 1,
        "num_codebooks": 3,
        "codebook_size": 16,
        "init": "scaled",
    }
    return Codec(**(keywords | changes)).eval()


def build_model(*, seed: int = 0, **codec_changes: object) -> AudioGen:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = build_codec(**codec_changes)
        text = HashedEncoder(dim=8, num_buckets=64, max_words=8)
        lm = TokenLM(
            num_codebooks=3,
            codebook_size=16,
            text_dim=8,
            dim=16,
            num_layers=2,
            num_heads=2,
            delays=[0, 1, 2],
        )
    return AudioGen(text=text, lm=lm, codec=codec, max_duration=0.1)


@pytest.fixture
def make_model() -> Callable[..., AudioGen]:
    return build_model


@pytest.fixture
def model() -> AudioGen:
    return build_model()


@pytest.fixture
def saved(model: AudioGen, tmp_path: Path) -> Path:
    return model.save_pretrained(tmp_path / "model", card={"licence": "CC0-1.0"})
