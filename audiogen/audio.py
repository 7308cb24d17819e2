"""Read, write, resample and check sound: with `long_audio` the only door to audio files.

Everything goes through libsndfile (wav, flac, ogg, opus, mp3, aiff, w64); waveforms are float32
tensors [C, T] with full scale at 1. Nothing here clips, wraps or scales unless it was asked to.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor

from audiogen.files import remove_unfinished
from audiogen.level import LevelOptions, Strategy, set_level
from audiogen.resampling import input_span, rate_ratio, resample
from audiogen.sndfile import (
    AudioError,
    AudioInfo,
    check_promise,
    decode,
    info_of,
    open_audio,
)
from audiogen.sound_writer import BLOCK, FORMATS, audio_writer, read_tags, require_finite

__all__ = [
    "FORMATS",
    "SILENCE",
    "AudioError",
    "AudioInfo",
    "AudioLevels",
    "as_channels",
    "audio_info",
    "audio_writer",
    "check_audio",
    "read_audio",
    "read_clip",
    "read_tags",
    "remove_unfinished",
    "resample",
    "write_audio",
]

SILENCE = 1e-4  # a peak at or below this, -80 dB of full scale, is 3 steps of 16 bits: no sound
MISSING = 0.1  # seconds
Clipping = Literal["error", "clamp", "rescale"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioLevels:
    """What a full decode of an audio file found; linear amplitudes, full scale at 1."""

    info: AudioInfo
    peak: float
    channel_rms: tuple[float, ...]
    mono_rms: float  # of the mean over channels: far below channel_rms where they cancel out


def audio_info(path: str | Path) -> AudioInfo:
    """Read the header of an audio file; raises AudioError if there is none."""
    with open_audio(path) as file:
        return info_of(file)


def read_audio(
    path: str | Path,
    *,
    start: float = 0.0,
    duration: float | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
) -> tuple[Tensor, int]:
    """Read a span of a file; only that span is decoded.

    Args:
        path: the audio file.
        start: seconds from its beginning.
        duration: seconds; None reads to the end. What lies behind the end is not made up: the
            result is then shorter.
        sample_rate: Hz of the result; None keeps the file's. A resampled span equals that span of
            the whole file resampled: samples ``round(start * rate)`` up to
            ``round(start * rate) + round(duration * rate)`` of the ``ceil(frames * rate / own)``.
        channels: 1 takes the mean over channels, more repeats a mono file, None keeps the file's.

    Returns:
        float32 [C, T] and its sample rate in Hz.

    Raises:
        AudioError: if the file is missing, is not audio, is cut short within the span, holds NaN
            or infinite samples, or ends before ``start``.
    """
    if not (math.isfinite(start) and start >= 0):
        raise AudioError(f"{path}: start must be 0 or more seconds, got {start}")
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise AudioError(f"{path}: duration must be more than 0 seconds or None, got {duration}")
    with open_audio(path) as file:
        if duration is None:
            check_promise(path)
        rate = sample_rate or file.samplerate
        up, down = rate_ratio(file.samplerate, rate)
        first = round(start * rate)
        last = -(-file.frames * up // down)
        if duration is not None:
            last = min(last, first + round(duration * rate))
        if last <= first:
            raise AudioError(
                f"{path}: nothing to read from {start} s on for {duration or 'the rest'} s: the "
                f"file is {file.frames / file.samplerate:.3f} s long; correct the span"
            )
        begin, end = input_span(first, last, up=up, down=down, frames=file.frames)
        span = as_channels(decode(file, path, begin, end), channels, path)
    offset = first - begin // down * up
    return resample(span, down, up)[:, offset : offset + last - first].contiguous(), rate


def read_clip(
    path: str | Path, *, start: float, duration: float, sample_rate: int, channels: int
) -> Tensor:
    """Read a span that a manifest says is there; see `read_audio`.

    Returns:
        float32 [C, T].

    Raises:
        AudioError: also if the file ends more than a tenth of a second before the span does, as a
            file that was cut short does. Less is how measures of one length differ.
    """
    waveform, rate = read_audio(
        path, start=start, duration=duration, sample_rate=sample_rate, channels=channels
    )
    missing = duration - waveform.shape[1] / rate
    if missing > MISSING:
        raise AudioError(
            f"{path}: ends {missing:.3f} s before the clip does; download or export the file "
            "again, or correct start and duration"
        )
    return waveform


def write_audio(
    path: str | Path,
    waveform: Tensor,
    sample_rate: int,
    *,
    subtype: str | None = None,
    clipping: Clipping = "error",
    strategy: Strategy = "none",
    tags: Mapping[str, str] | None = None,
    **level: Unpack[LevelOptions],
) -> None:
    """Write a waveform; the suffix chooses the format, and the file appears whole or not at all.

    Args:
        path: ends in one of the suffixes of ``FORMATS``; missing folders are made.
        waveform: float [C, T] or [T].
        sample_rate: Hz.
        subtype: libsndfile's name of the encoding, for example "FLOAT" or "PCM_24"; None takes
            16 bits, where what `read_audio` gave is written back bit for bit.
        clipping: what becomes of samples beyond full scale, which integers cannot hold: "error"
            refuses them, "clamp" cuts them off, "rescale" turns the whole waveform down.
        strategy: sets the level first, as AudioCraft does: "peak", "clip", "rms", "loudness".
        tags: what the file says of itself, of the names in `audiogen.sound_writer.TAGS`; cut to
            2000 bytes each, in mp3 without letters that ASCII lacks, and in w64 left out.
        level: how, see `audiogen.level.LevelOptions`.

    Raises:
        AudioError: for NaN or infinite samples, no samples, an unknown suffix, a clipping one, or
            where `audiogen.level.set_level` refuses.
    """
    if clipping not in ("error", "clamp", "rescale"):
        raise AudioError(f'{path}: clipping is "error", "clamp" or "rescale", got {clipping!r}')
    waveform = torch.atleast_2d(waveform.detach().cpu().float())
    if waveform.ndim != 2 or waveform.numel() == 0:
        raise AudioError(f"{path}: expected samples [C, T] or [T], got {list(waveform.shape)}")
    require_finite(waveform, path)
    try:
        waveform = set_level(waveform, sample_rate, strategy=strategy, **level)
    except ValueError as error:
        raise AudioError(f"{path}: {error}") from error
    if clipping == "rescale":
        waveform = waveform / waveform.abs().max().clamp(min=1)
    with audio_writer(
        path, sample_rate, len(waveform), subtype=subtype, clamp=clipping == "clamp", tags=tags
    ) as write:
        write(waveform)


def check_audio(path: str | Path, *, silence: float = SILENCE) -> AudioLevels:
    """Decode the whole file and return its levels, or say in one line why it is of no use.

    Raises:
        AudioError: if the file is missing, empty, no audio, cut short (the header promises more
            than is there, or decoding fails), without channels or samples, silent (no sample
            above ``silence``), or has samples that are NaN or infinite.
    """
    with open_audio(path) as file:
        info = info_of(file)
        if info.frames == 0:
            raise AudioError(f"{path}: no samples: only a header; record or export it again")
        check_promise(path)
        peak, squares, mono = 0.0, np.zeros(info.channels), 0.0
        for begin in range(0, info.frames, 16 * BLOCK):
            block = decode(file, path, begin, min(info.frames, begin + 16 * BLOCK))
            peak = max(peak, block.abs().max().item())
            squares += block.double().square().sum(dim=1).numpy()
            mono += block.double().mean(dim=0).square().sum().item()
    if peak <= silence:
        raise AudioError(f"{path}: silent: no sample above {silence:g} of full scale; leave it out")
    return AudioLevels(
        info=info,
        peak=peak,
        channel_rms=tuple(np.sqrt(squares / info.frames).tolist()),
        mono_rms=math.sqrt(mono / info.frames),
    )


def as_channels(waveform: Tensor, channels: int | None, path: str | Path) -> Tensor:
    """Mix or repeat float [C, T] as `read_audio` says."""
    if channels is None or channels == len(waveform):
        return waveform
    if channels == 1:
        return waveform.mean(dim=0, keepdim=True)
    if len(waveform) == 1:
        return waveform.expand(channels, -1)
    raise AudioError(
        f"{path}: has {len(waveform)} channels, cannot give {channels}; ask for 1 or for all (None)"
    )
