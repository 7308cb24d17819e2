"""A small codec and the clips it is judged by."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audiogen.audio import write_audio
from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, write_manifest

RATE = 16_000
GROUPS = ("bell", "dog", "rain", "wind")


def make_codec(**changes: object) -> Codec:
    torch.manual_seed(0)
    settings = {
        "num_filters": 2,
        "dimension": 8,
        "ratios": [8, 5, 4, 2],
        "lstm_layers": 0,
        "num_codebooks": 2,
        "codebook_size": 16,
    }
    codec = Codec(**settings | changes).eval()
    codec.quantizer.restarts[0] = 5
    return codec


def make_clip(path: Path, number: int, **changes: object) -> Clip:
    settings = {
        "id": f"clip-{number}",
        "path": path,
        "start": 0.0,
        "duration": 0.5,
        "captions": (),
        "source": "esc50",
        "licence": "CC0-1.0",
        "split": "test",
        "labels": {"class": GROUPS[number % len(GROUPS)]},
    }
    return Clip(**settings | changes)


def make_clips(folder: Path, *, number: int = 8, rate: int = RATE) -> list[Clip]:
    """Write half a second of noise per clip, the later ones quieter, and their manifest."""
    rng = torch.Generator().manual_seed(0)
    clips = []
    for i in range(number):
        sound = torch.randn(1, rate // 2, generator=rng).clamp(-3, 3) * 0.3 / (1 + i)
        path = folder / "audio" / f"{i}.flac"
        write_audio(path, sound, rate)
        clips.append(make_clip(path, i))
    write_manifest(folder / "manifest.jsonl", clips)
    return clips


@pytest.fixture
def small_codec() -> Callable[..., Codec]:
    """Return what makes a small codec."""
    return make_codec


@pytest.fixture
def write_clips() -> Callable[..., list[Clip]]:
    """Return what writes clips and their manifest."""
    return make_clips


@pytest.fixture(scope="session")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec as training exports it; do not change it."""
    return save_codec(make_codec(), tmp_path_factory.mktemp("codec") / "codec")


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight test clips of four classes and one that trains; do not change it."""
    folder = tmp_path_factory.mktemp("data")
    clips = make_clips(folder)
    trains = replace(clips[0], id="trains", split="train")
    return write_manifest(folder / "manifest.jsonl", [*clips, trains])
