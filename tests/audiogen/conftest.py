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


def build_lm(**changes: object) -> TokenLM:
    keywords = {
        "num_codebooks": 3,
        "codebook_size": 16,
        "text_dim": 8,
        "dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "delays": [0, 1, 2],
    }
    return TokenLM(**(keywords | changes))


def build_model(*, seed: int = 0, **codec_changes: object) -> AudioGen:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = build_codec(**codec_changes)
        text = HashedEncoder(dim=8, num_buckets=64, max_words=8)
        lm = build_lm()
    return AudioGen(text=text, lm=lm, codec=codec, max_duration=0.1)


@pytest.fixture(scope="session")
def make_lm() -> Callable[..., TokenLM]:
    return build_lm


@pytest.fixture
def make_model() -> Callable[..., AudioGen]:
    return build_model


@pytest.fixture
def model() -> AudioGen:
    return build_model()


@pytest.fixture
def saved(model: AudioGen, tmp_path: Path) -> Path:
    return model.save_pretrained(tmp_path / "model", card={"licence": "CC0-1.0"})


@pytest.fixture(scope="session")
def t5_folder() -> Path:
    """A random T5 of 32 units with a tokenizer of 228 pieces."""
    return Path(__file__).parents[1] / "golden" / "t5_tiny"  # written by golden/make_text.py


@pytest.fixture(scope="session")
def clap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random text half of CLAP of 8 dimensions, as transformers saves it."""
    import tokenizers
    import transformers

    path = tmp_path_factory.mktemp("clap")
    pieces = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    sentences = ["a dog barks twice", "rain on a tin roof"]
    pieces.train_from_iterator(
        sentences, vocab_size=300, special_tokens=special, show_progress=False
    )
    pieces.save_model(str(path))
    words, merges = str(path / "vocab.json"), str(path / "merges.txt")
    transformers.RobertaTokenizer(words, merges).save_pretrained(path)
    config = transformers.ClapTextConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=90,
        projection_dim=8,
        initializer_factor=20.0,  # or all captions are alike
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.ClapTextModelWithProjection(config).save_pretrained(path)
    return path
