"""Decode sound files for scoring, and say by name which one cannot be scored and why.

Deliberately not shared with the library under test: one resampling or down-mixing bug must not
cancel out between training and score. Decoding, and compressing what a page plays, is all;
resampling and levels are in `prepare`.
"""

import hashlib
import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

UNKNOWN_SIZE = 0xFFFFFFFF  # a WAV written to a pipe: its length was not known beforehand
BLOCK = 1 << 20  # samples at a time, as a long sound has no room for copies
SILENCE_PEAK = 1e-4  # full scale 1; three steps of 16-bit audio, so its dither is silence too


class AudioError(ValueError):
    """A sound that cannot be scored: which file, what is wrong, what to do."""


def check_sound(path: Path) -> float:
    """Check a file's header and return its duration in seconds, without decoding it.

    Raises:
        AudioError: if the file is missing, empty, cut short, without channels, or not audio.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes). Write or download it again.")
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise AudioError(
            f"{path}: not a readable audio file ({_reason(error)}); it begins with "
            f"{_first_bytes(path)!r}. Write or download it again."
        ) from error
    if info.channels < 1 or info.frames < 1:
        raise AudioError(
            f"{path}: the file holds no sound ({info.channels} channels, {info.frames} frames). "
            "Write or download it again."
        )
    missing = _missing_bytes(path)
    if missing:
        raise AudioError(
            f"{path}: cut short, {missing} bytes of its samples are missing. "
            "Write or download it again."
        )
    return info.frames / info.samplerate


def read_channels(path: Path) -> tuple[np.ndarray, int]:
    """Decode a file with all of its channels.

    Returns:
        float32 [T, C], full scale 1 and not clipped; and its sample rate in Hz.

    Raises:
        AudioError: naming the file, if it cannot be decoded to its end.
    """
    check_sound(path)
    try:
        samples, sample_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioError(
            f"{path}: decoding stopped before the end ({_reason(error)}). "
            "Write or download it again."
        ) from error
    if len(samples) == 0:
        raise AudioError(f"{path}: decoding gave no samples. Write or download it again.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite. Write it again.")
    return samples, sample_rate


def check_audible(samples: np.ndarray, *, path: Path, mono: str) -> None:
    """Refuse a sound that is silent once it is mixed to one channel.

    Args:
        samples: float32 [T, C], full scale 1.
        path: the file it came from.
        mono: "mean" of the channels, or the "first" one.

    Raises:
        AudioError: naming the file, and what to do.
    """
    parts = [samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK)]
    if any(np.abs(_mix(part, mono)).max() >= SILENCE_PEAK for part in parts):
        return
    loud = any(np.abs(part).max() >= SILENCE_PEAK for part in parts)
    why = f"its {samples.shape[1]} channels cancel when mixed to one" if loud else "silent"
    raise AudioError(
        f"{path}: {why}. Silence scores well on several metrics, so this protocol refuses "
        "it; remove the pair, or use a protocol with `silence: score`."
    )


def read_start(path: Path, *, seconds: float) -> tuple[np.ndarray, int, bool]:
    """Decode the beginning of a file, to be listened to.

    Args:
        path: the sound file.
        seconds: how much of it, at most.

    Returns:
        float32 [T, C], one channel or the first two, what is not finite made silent; its sample
        rate in Hz; and whether there is more.
    """
    with soundfile.SoundFile(str(path)) as file:
        most = round(seconds * file.samplerate)
        samples = file.read(most, dtype="float32", always_2d=True)[:, :2]
        return np.nan_to_num(samples, posinf=0, neginf=0), file.samplerate, file.frames > most


def compress_sound(samples: np.ndarray, sample_rate: int) -> tuple[str, bytes]:
    """Encode a sound as Ogg Vorbis, or as FLAC where that fails.

    Args:
        samples: float [T, C], full scale 1.
        sample_rate: Hz, 8000 to 192000; libvorbis does not survive all others.

    Returns:
        "ogg" or "flac", and the content of such a file.
    """
    try:
        return "ogg", _encode(samples, sample_rate, kind="OGG", subtype="VORBIS")
    except soundfile.SoundFileError:
        return "flac", _encode(samples, sample_rate, kind="FLAC", subtype="PCM_16")


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mix(samples: np.ndarray, mono: str) -> np.ndarray:
    """Mix float32 [T, C] to [T]."""
    return samples[:, 0] if mono == "first" else samples.mean(axis=1, dtype=np.float64)


def _encode(samples: np.ndarray, sample_rate: int, *, kind: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, samples.shape[1], format=kind, subtype=subtype
    ) as file:
        for start in range(0, len(samples), sample_rate):  # libsndfile keeps a write on the stack
            file.write(samples[start : start + sample_rate])
    return buffer.getvalue()


def _missing_bytes(path: Path) -> int:
    """Return how many bytes of sample data a WAV header promises beyond the end of the file.

    libsndfile reads a WAV that was cut short without complaint, as a shorter one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] not in (b"RIFF", b"RF64") or header[8:] != b"WAVE":
            return 0
        start, promised = _data_chunk(file)
    return max(0, start + promised - size)


def _data_chunk(file: BinaryIO) -> tuple[int, int]:
    """Return the offset and the promised size in bytes of a WAV's data chunk; 0, 0 if unknown."""
    long_size = 0
    while len(chunk := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", chunk)
        if kind == b"ds64":
            long_size = struct.unpack("<QQ", file.read(16))[1]
            file.seek(size - 16, 1)
        elif kind == b"data":
            known = size if size != UNKNOWN_SIZE else long_size
            return file.tell(), known
        else:
            file.seek(size + size % 2, 1)
    return 0, 0


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(16).decode("ascii", errors="replace")


def _reason(error: Exception) -> str:
    """Return libsndfile's own words, without the path it repeats."""
    return str(error).rsplit(": ", maxsplit=1)[-1].strip().rstrip(".")
