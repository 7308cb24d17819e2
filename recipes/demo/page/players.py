"""Clips to listen to: players and log-mel spectrograms, all on one scale of decibels."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from audiogen.audio import AudioError, read_audio
from recipes.demo.page.corpus import MAIN_LABELS
from recipes.demo.page.inputs import MissingInputError, Run

FOLDERS = {
    "reference": "Reference",
    "roundtrip": "Codec round trip",
    "generated": "Generated",
    "unguided": "No guidance",
}
LABELED, UNLABELED = 24, 12  # clips at most, with and without labels
MAX_BYTES = 6_200_000  # of sound files: with base64 and pictures about 11 MB
RANGE = 80.0  # dB between the darkest and the brightest color
MELS = 80
PALETTE = "magma"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One sound of a clip: its player and picture, or why there is none."""

    folder: str
    title: str
    problem: str | None = None
    sound: str = ""  # data URI
    picture: str = ""  # data URI
    seconds: float = 0.0
    level: str = ""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A decoded sound file."""

    content: bytes
    waveform: Tensor  # float32 [T]
    decibels: NDArray[np.float32]  # [mels, frames], relative to full scale


def players_section(run: Run) -> dict[str, Any]:
    """Return the chosen clips with four panels each."""
    rows = run.rows("samples/captions.jsonl", stage="samples")
    label = next((n for n in MAIN_LABELS if any(n in _labels(row) for row in rows)), None)
    wanted = choose(rows, label)
    if not wanted:
        raise MissingInputError("samples/captions.jsonl names no clip.")
    chosen = within_budget(wanted, run.folder / "samples", MAX_BYTES)
    heard = [
        {name: _hear(run.folder / "samples" / name / str(row["file"])) for name in FOLDERS}
        for row in chosen
    ]
    top = _loudest(heard)
    return {
        "clips": [
            {
                "caption": str(row.get("caption", "")),
                "name": str(row["file"]),
                "labels": ", ".join(f"{n}: {v}" for n, v in _labels(row).items()),
                "panels": [_panel(name, sounds[name], top) for name in FOLDERS],
            }
            for row, sounds in zip(chosen, heard, strict=True)
        ],
        "label": label,
        "open": UNLABELED,
        "number": len(rows),
        "range": RANGE,
        "scale": _data_uri(_png(np.linspace(0, 255, 256)[None].repeat(8, 0)), "image/png"),
    }


def choose(rows: Sequence[Mapping[str, Any]], label: str | None) -> list[Mapping[str, Any]]:
    """Pick the first clip of each group of a label, then their last ones; the first of all where
    there is no label.

    The choice goes by order alone: nobody listened to choose the good ones.
    """
    rows = [row for row in rows if isinstance(row.get("file"), str) and _is_name(row["file"])]
    if label is None:
        return list(rows[:UNLABELED])
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: _labels(row).get(label, "")):
        groups.setdefault(_labels(row).get(label, ""), []).append(row)
    first = [group[0] for group in groups.values()]
    last = [group[-1] for group in groups.values() if len(group) > 1]
    return [*first, *last][:LABELED]


def within_budget(
    rows: Sequence[Mapping[str, Any]], samples: Path, max_bytes: int
) -> list[Mapping[str, Any]]:
    """Keep the clips, in order, whose files together stay within a size."""
    kept, total = [], 0
    for row in rows:
        size = sum(_size(samples / name / row["file"]) for name in FOLDERS)
        if total + size <= max_bytes:
            kept.append(row)
            total += size
    return kept


def log_mel(waveform: Tensor, sample_rate: int) -> NDArray[np.float32]:
    """Return the log-mel power of float [T] in dB, float32 [mels, frames], lowest mel first."""
    power = _mel(sample_rate)(waveform)
    return np.asarray(10 * torch.log10(power + 1e-12), dtype=np.float32)


def picture(decibels: NDArray[np.float32], top: float) -> bytes:
    """Return a PNG of decibels [mels, frames] between top - RANGE and top, low mels at the foot."""
    scaled = (decibels[::-1] - (top - RANGE)) / RANGE
    return _png(np.clip(scaled, 0, 1) * 255)


@lru_cache(maxsize=4)
def _mel(sample_rate: int) -> MelSpectrogram:
    return MelSpectrogram(
        sample_rate, n_fft=1024, win_length=512, hop_length=sample_rate // 125, n_mels=MELS
    )


def _hear(path: Path) -> Heard | str:
    """Decode a file, or say why it cannot be heard."""
    try:
        waveform, rate = read_audio(path, channels=1)
        content = path.read_bytes()
    except (AudioError, OSError) as error:
        return str(error).removeprefix(f"{path}: ") if path.is_file() else "there is no such file"
    return Heard(content=content, waveform=waveform[0], decibels=log_mel(waveform[0], rate))


def _panel(name: str, heard: Heard | str, top: float) -> Panel:
    if isinstance(heard, str):
        return Panel(folder=name, title=FOLDERS[name], problem=heard)
    rms = heard.waveform.square().mean().sqrt().item()
    return Panel(
        folder=name,
        title=FOLDERS[name],
        sound=_data_uri(heard.content, "audio/wav"),
        picture=_data_uri(picture(heard.decibels, top), "image/png"),
        seconds=heard.decibels.shape[1] / 125,
        level=f"{20 * math.log10(rms):.0f} dB" if rms > 1e-6 else "silent",
    )


def _loudest(heard: Sequence[Mapping[str, Heard | str]]) -> float:
    """The loudest point of the references, dB; of all sounds where none could be read."""
    sounds = [sound for clip in heard for sound in clip.items() if isinstance(sound[1], Heard)]
    references = [sound for name, sound in sounds if name == "reference"]
    peaks = [s.decibels.max() for s in references or [s for _, s in sounds] if isinstance(s, Heard)]
    return float(max(peaks, default=0.0))


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    labels = row.get("labels")
    return labels if isinstance(labels, dict) else {}


def _is_name(text: str) -> bool:
    return not set(text) & set("/\\\0") and text not in ("", ".", "..")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _png(values: NDArray[Any]) -> bytes:
    """Encode [height, width] of 0 to 255 as a PNG with the palette, one byte per pixel."""
    colors = matplotlib.colormaps[PALETTE](np.arange(256), bytes=True)[:, :3]
    image = Image.fromarray(values.round().astype(np.uint8), mode="L")
    image.putpalette(colors.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
