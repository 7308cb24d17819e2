"""Training from sounds read on the fly against training from a folder of their codes."""

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from audiogen.audio import write_audio
from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, write_manifest
from audiogen.data.sounds import SoundDataset, collate_sounds
from audiogen.data.tokens import TokenDataset, collate_tokens
from audiogen.encode import encode_manifest
from audiogen.text.hashed import HashedEncoder
from audiogen.training.data import DataModule
from audiogen.training.history import HistoryLogger
from audiogen.training.lm_module import LMModule

RATE, SECONDS, SEED = 1600, 0.5, 11
LENGTHS = {"train": [1.3, 0.5, 0.21, 1.0, 0.77], "valid": [0.5, 0.6]}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    generator = torch.Generator().manual_seed(0)
    clips = []
    for split, lengths in LENGTHS.items():
        for number, length in enumerate(lengths):
            path = folder / "audio" / f"{split}{number}.wav"
            noise = torch.rand(1, round(length * RATE), generator=generator) - 0.5
            write_audio(path, noise, RATE)
            clips.append(
                Clip(
                    id=path.stem,
                    path=path,
                    start=0.0,
                    duration=length,
                    captions=("rain", "it rains", "drops")[: 1 + number % 3],
                    source="test",
                    licence="CC0",
                    split=split,
                )
            )
    return write_manifest(folder / "manifest.jsonl", clips)


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory):
    """40 samples per frame: 40 frames per second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"dimension": 8, "num_filters": 2, "ratios": (5, 4, 2), "lstm_layers": 1}
        settings |= {"num_codebooks": 2, "codebook_size": 16, "kmeans_init": False}
        codec = Codec(sample_rate=RATE, **settings).eval()
    folder = tmp_path_factory.mktemp("models") / "codec"
    save_codec(codec, folder)
    return folder


@pytest.fixture(scope="module")
def codes(manifest, codec_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("codes") / "folder"
    codec = Codec.from_pretrained(codec_folder)
    sizes = {"segment_duration": SECONDS, "batch_size": 3, "shard_size": 4, "progress": False}
    return encode_manifest(codec, manifest, out, **sizes)


def losses(make_lm, folder: Path, codec_folder: Path, **data) -> tuple[list[dict[str, str]], dict]:
    """Train four updates with validation; return the history and the weights."""
    torch.manual_seed(0)
    module = LMModule(
        make_lm(num_codebooks=2, num_layers=1, delays=[0, 1]),
        text=HashedEncoder(dim=8, num_buckets=32, max_words=6),
        optimizer=partial(torch.optim.AdamW, lr=0.01),
        condition_dropout=0.3,
        seed=SEED,
        codec_folder=str(codec_folder),
    )
    trainer = Trainer(
        accelerator="cpu",
        max_steps=4,
        max_epochs=-1,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=[HistoryLogger(folder)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, DataModule(batch_size=4, **data))
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    return rows, module.parts.state_dict()


def test_sounds_and_their_codes_train_to_the_same_losses_and_weights(
    manifest, codec_folder, codes, make_lm, tmp_path
):
    tokens = partial(TokenDataset, codes, seed=SEED)
    sounds = partial(
        SoundDataset,
        manifest,
        sample_rate=RATE,
        segment_duration=SECONDS,
        seed=SEED,
        sample_by="segment",
    )
    expected, weights = losses(
        make_lm,
        tmp_path / "codes",
        codec_folder,
        train=partial(tokens, split="train"),
        valid=partial(tokens, split="valid", fixed=True),
        collate=collate_tokens,
    )
    found, found_weights = losses(
        make_lm,
        tmp_path / "sounds",
        codec_folder,
        train=partial(sounds, split="train"),
        valid=partial(sounds, split="valid", fixed=True),
        collate=collate_sounds,
    )
    names = [name for name in expected[0] if "loss" in name or "perplexity" in name]
    assert any(name.startswith("train/loss") for name in names)
    assert any(name.startswith("val/loss") for name in names)
    assert [[row[name] for name in names] for row in found] == [
        [row[name] for name in names] for row in expected
    ]
    for name, value in weights.items():
        assert torch.equal(found_weights[name], value), name
