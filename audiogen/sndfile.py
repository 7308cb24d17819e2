"""Open and decode audio files with libsndfile, with errors that say what is wrong with a file.

`audiogen.audio`, and `audiogen.long_audio` for blocks, are the door for everybody else.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile
import torch
from torch import Tensor

# An mp3 frame borrows bits from those before it: decoded from a seek on, the first frames come out
# wrong (by up to full scale in real files). Ten frames of 1152 samples ahead cure it.
MP3_LEAD = 10 * 1152


class AudioError(ValueError):
    """A sound that cannot be read or written; it says ``path: what is wrong; what to do``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioInfo:
    """What the header of an audio file says."""

    sample_rate: int  # Hz
    channels: int
    frames: int  # samples per channel

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def open_audio(path: str | Path) -> soundfile.SoundFile:
    """Open a file for reading; raises AudioError if it is missing, empty or no audio."""
    try:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        if size is None:
            what = "is a folder, not a file" if Path(path).is_dir() else "there is no such file"
            raise AudioError(f"{path}: {what}; check the name, or the list it came from")
        if size == 0:
            raise AudioError(f"{path}: empty (0 bytes); download or export it again")
        return soundfile.SoundFile(name_of(Path(path)))
    except (soundfile.LibsndfileError, TypeError, OSError) as error:
        _check_access(path)
        raise AudioError(
            f"{path}: not audio that can be read ({reason_of(error)}{_looks_like(path)}); "
            "wav, flac, ogg, opus, mp3, aiff and w64 can be"
        ) from error


def _check_access(path: str | Path) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AudioError(f"{path}: cannot be read ({reason}); change its permissions") from error


def name_of(path: Path) -> bytes | str:
    """The name libsndfile is given: bytes, for names that are not valid text."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def reason_of(error: Exception) -> str:
    """The reason libsndfile gives, without its prefix and full stop."""
    text = getattr(error, "error_string", None) or str(error)
    return text.removeprefix("Error : ").strip().rstrip(".").lower()


def _looks_like(path: str | Path) -> str:
    try:
        with Path(path).open("rb") as file:
            head = file.read(64).lstrip().lower()
    except OSError:
        return ""
    return ", it is a web page" if head.startswith((b"<!doc", b"<html", b"<head")) else ""


def info_of(file: soundfile.SoundFile) -> AudioInfo:
    """What the header of an open file says."""
    return AudioInfo(sample_rate=file.samplerate, channels=file.channels, frames=file.frames)


def decode(file: soundfile.SoundFile, path: str | Path, begin: int, end: int) -> Tensor:
    """Decode frames [begin, end) to float32 [C, T]; raises AudioError if they are not all there."""
    lead = 0
    try:
        if file.tell() != begin:  # going on needs no seek, which costs time and, in mp3, the lead
            lead = min(begin, MP3_LEAD) if file.format == "MP3" else 0
            file.seek(begin - lead)
        block = file.read(lead + end - begin, dtype="float32", always_2d=True)[lead:]
        problem = "" if len(block) == end - begin else f"{begin + len(block)} frames can be read"
    except soundfile.LibsndfileError as error:
        problem = reason_of(error)
    if problem:
        raise AudioError(
            f"{path}: truncated or damaged: the header promises {file.frames} frames, but "
            f"{problem}; download or export it again"
        )
    waveform = torch.from_numpy(block.T.copy())
    if not waveform.isfinite().all():
        raise AudioError(f"{path}: has samples that are NaN or infinite; export it again")
    return waveform


def check_promise(path: str | Path) -> None:
    """Compare the size in a wav or aiff header with the file: libsndfile quietly reads less."""
    with Path(path).open("rb") as file:
        magic = file.read(12)
        if magic[:4] in (b"RIFF", b"RF64", b"FORM"):
            promised = _data_end(file, big_endian=magic[:4] == b"FORM")
            present = file.seek(0, os.SEEK_END)
            # Writers differ by a pad byte or a frame; sizes near 2 or 4 GB are a pipe's "unknown".
            if promised is not None and promised > present + 16:
                raise AudioError(
                    f"{path}: truncated: the header promises {promised} bytes, but {present} are "
                    "there; download or export it again"
                )


def _data_end(file: BinaryIO, *, big_endian: bool) -> int | None:
    """Byte at which the sample data should end, or None where the header does not say."""
    long_size = None
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack(">4sI" if big_endian else "<4sI", header)
        if name == b"ds64":
            long_size = struct.unpack("<8xQ", file.read(16))[0]
            file.seek(-16, os.SEEK_CUR)
        if name in (b"data", b"SSND"):
            if size == 2**32 - 1 and long_size is not None:
                return file.tell() + long_size
            return file.tell() + size if size < 2**31 - 2**16 else None
        file.seek(size + size % 2, os.SEEK_CUR)
    return None
