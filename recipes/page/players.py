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

RANGE = 80.0  # dB between the darkest and the brightest color
MELS = 80
N_FFT = 1024
PALETTE = "magma"
KINDS = {".wav": "audio/wav", ".flac": "audio/flac"}


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
    kind: str  # of the content, as browsers name it
    waveform: Tensor  # float32 [T]
    decibels: NDArray[np.float32]  # [mels, frames], relative to full scale


def log_mel(waveform: Tensor, sample_rate: int) -> NDArray[np.float32]:
    """Return the log-mel power of float [T] in dB, float32 [mels, frames], lowest mel first.

    A sound shorter than half a window, which cannot be mirrored at its ends, ends in silence.
    """
    missing = max(0, N_FFT // 2 + 1 - len(waveform))
    power = _mel(sample_rate)(torch.nn.functional.pad(waveform, (0, missing)))
    return np.asarray(10 * torch.log10(power + 1e-12), dtype=np.float32)


def picture(decibels: NDArray[np.float32], top: float) -> bytes:
    """Return a PNG of decibels [mels, frames] between top - RANGE and top, low mels at the foot."""
    scaled = (decibels[::-1] - (top - RANGE)) / RANGE
    return _png(np.clip(scaled, 0, 1) * 255)


@lru_cache(maxsize=4)
def _mel(sample_rate: int) -> MelSpectrogram:
    return MelSpectrogram(
        sample_rate, n_fft=N_FFT, win_length=512, hop_length=sample_rate // 125, n_mels=MELS
    )


def hear(path: Path) -> Heard | str:
    """Decode a file, or say why it cannot be heard."""
    try:
        waveform, rate = read_audio(path, channels=1)
        content = path.read_bytes()
    except (AudioError, OSError) as error:
        return str(error).removeprefix(f"{path}: ") if path.is_file() else "there is no such file"
    return Heard(
        content=content,
        kind=KINDS.get(path.suffix.lower(), "audio/wav"),
        waveform=waveform[0],
        decibels=log_mel(waveform[0], rate),
    )


def panel(folder: str, title: str, heard: Heard | str, top: float) -> Panel:
    """Make the player and the picture of a sound, or name the problem; ``top`` is in dB."""
    if isinstance(heard, str):
        return Panel(folder=folder, title=title, problem=heard)
    rms = heard.waveform.square().mean().sqrt().item()
    return Panel(
        folder=folder,
        title=title,
        sound=data_uri(heard.content, heard.kind),
        picture=data_uri(picture(heard.decibels, top), "image/png"),
        seconds=heard.decibels.shape[1] / 125,
        level=f"{20 * math.log10(rms):.0f} dB" if rms > 1e-6 else "silent",
    )


def loudest(clips: Sequence[Mapping[str, Heard | str]]) -> float:
    """Return the loudest point of the references, dB; of all sounds where none could be read."""
    sounds = [sound for clip in clips for sound in clip.items() if isinstance(sound[1], Heard)]
    references = [sound for name, sound in sounds if name == "reference"]
    peaks = [s.decibels.max() for s in references or [s for _, s in sounds] if isinstance(s, Heard)]
    return float(max(peaks, default=0.0))


def color_scale() -> str:
    """Return a picture of all colors from quiet to loud, as a data URI."""
    return data_uri(_png(np.linspace(0, 255, 256)[None].repeat(8, 0)), "image/png")


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png(values: NDArray[Any]) -> bytes:
    """Encode [height, width] of 0 to 255 as a PNG with the palette, one byte per pixel."""
    colors = matplotlib.colormaps[PALETTE](np.arange(256), bytes=True)[:, :3]
    image = Image.fromarray(values.round().astype(np.uint8), mode="L")
    image.putpalette(colors.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
