"""Read, write, resample and check sound: with `long_audio` the only door to audio files.

Everything goes through libsndfile (wav, flac, ogg, opus, mp3, aiff, w64); waveforms are float32
tensors [C, T] with full scale at 1. Nothing here clips, wraps or scales unless it was asked to.
"""

import errno
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import soundfile
import torch
from torch import Tensor

from audiogen.files import remove_unfinished, replacing
from audiogen.level import LevelOptions, Strategy, set_level, to_int16
from audiogen.resampling import input_span, rate_ratio, resample
from audiogen.sndfile import (
    AudioError,
    AudioInfo,
    check_promise,
    decode,
    info_of,
    name_of,
    open_audio,
    reason_of,
)

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
    "remove_unfinished",
    "resample",
    "write_audio",
]

SILENCE = 1e-4  # a peak at or below this, -80 dB of full scale, is 3 steps of 16 bits: no sound
MISSING = 0.1  # seconds
HEADER = 2**16  # bytes; a disk with less has no room for the head of a file
BLOCK = 4096  # frames per call to libsndfile: one call of a minute of ogg crashes its encoder
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
}
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
    _require_finite(waveform, path)
    try:
        waveform = set_level(waveform, sample_rate, strategy=strategy, **level)
    except ValueError as error:
        raise AudioError(f"{path}: {error}") from error
    if clipping == "rescale":
        waveform = waveform / waveform.abs().max().clamp(min=1)
    with audio_writer(
        path, sample_rate, len(waveform), subtype=subtype, clamp=clipping == "clamp"
    ) as write:
        write(waveform)


@contextmanager
def audio_writer(
    path: str | Path,
    sample_rate: int,
    channels: int,
    *,
    subtype: str | None = None,
    clamp: bool = False,
) -> Iterator[Callable[[Tensor], None]]:
    """Yield a function that appends float32 [C, t] to a file, which appears when the block ends.

    For sounds too long for memory; arguments and errors are those of `write_audio`.

    Raises:
        OSError: if the disk is full, or the folder takes no files: no fault of the sound.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise AudioError(f"{path}: unknown suffix; known are {', '.join(FORMATS)}")
    container, usual = FORMATS[path.suffix.lower()]
    with replacing(path) as temporary:
        temporary.touch()  # says what libsndfile would not: that the folder takes no files
        with _disk_errors(path):
            try:
                file = soundfile.SoundFile(
                    name_of(temporary),
                    "w",
                    sample_rate,
                    channels,
                    subtype or usual,
                    format=container,
                )
            except (soundfile.LibsndfileError, ValueError, TypeError) as error:
                if shutil.disk_usage(path.parent).free < HEADER:
                    raise
                raise AudioError(
                    f"{path}: cannot be written as {subtype or usual} at {sample_rate} Hz with "
                    f"{channels} channels ({reason_of(error)}); choose another rate or format"
                ) from error

        def write(waveform: Tensor) -> None:
            samples = _storable(waveform, path, subtype=file.subtype, clamp=clamp)
            with _disk_errors(path):
                for begin in range(0, len(samples), BLOCK):
                    file.write(samples[begin : begin + BLOCK])

        try:
            yield write
        finally:
            with _disk_errors(path):
                file.close()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """What libsndfile cannot write to an open file is the disk's fault."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        reason = f"cannot be written ({reason_of(error)}); is the disk full?"
        raise OSError(errno.EIO, reason, str(path)) from error


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


def _storable(waveform: Tensor, path: Path, *, subtype: str, clamp: bool) -> np.ndarray:
    """Samples [T, C] as libsndfile takes them; int16 for 16 bits, whose scale is then exact."""
    _require_finite(waveform, path)
    peak = waveform.abs().max().item() if waveform.numel() else 0.0
    if subtype not in ("FLOAT", "DOUBLE"):
        if peak > 1 and not clamp:
            raise AudioError(
                f"{path}: peak {peak:.3f} is beyond full scale and would be cut off; pass "
                'clipping="clamp" or "rescale", or subtype="FLOAT" in a .wav file'
            )
        waveform = waveform.clamp(-1, 1)
    if subtype == "PCM_16":
        return to_int16(waveform.T).numpy()
    return waveform.T.float().numpy()


def _require_finite(waveform: Tensor, path: str | Path) -> None:
    if not waveform.isfinite().all():
        bad = int((~waveform.isfinite()).sum())
        raise AudioError(f"{path}: {bad} of {waveform.numel()} samples are NaN or infinite")
