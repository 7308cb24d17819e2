"""Write sound files with libsndfile, block by block, with what is known of a sound inside them.

`audiogen.audio` is the door for everybody else.
"""

import errno
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile
from torch import Tensor

from audiogen.files import replacing
from audiogen.level import to_int16
from audiogen.sndfile import AudioError, open_audio, reason_of

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
# libsndfile keeps no copyright and no license in an mp3, and license only in flac, ogg and opus.
# In this order: where a reader stops at a comment that is too long for it, the rest is read.
TAGS = ("title", "artist", "software", "copyright", "license", "comment")
LONGEST_TAG = 2000  # bytes; libsndfile reads a wav or aiff file's no further than 2047


@contextmanager
def audio_writer(
    path: str | Path,
    sample_rate: int,
    channels: int,
    *,
    subtype: str | None = None,
    clamp: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Callable[[Tensor], None]]:
    """Yield a function that appends float32 [C, t] to a file, which appears when the block ends.

    For sounds too long for memory; arguments and errors are those of `audiogen.audio.write_audio`.

    Raises:
        OSError: if the disk is full, or the folder takes no files: no fault of the sound.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise AudioError(f"{path}: unknown suffix; known are {', '.join(FORMATS)}")
    unknown = [name for name in tags or {} if name not in TAGS]
    if unknown:
        raise ValueError(f"unknown tag {unknown[0]!r}: known are {', '.join(TAGS)}")
    container, usual = FORMATS[path.suffix.lower()]
    with replacing(path) as temporary:
        temporary.touch()  # says what libsndfile would not: that the folder takes no files
        with _Sink(temporary) as sink, _disk_errors(path, sink):
            try:
                file = soundfile.SoundFile(
                    sink, "w", sample_rate, channels, subtype or usual, format=container
                )
            except (soundfile.LibsndfileError, ValueError, TypeError) as error:
                if sink.error is not None:
                    raise
                raise AudioError(
                    f"{path}: cannot be written as {subtype or usual} at {sample_rate} Hz with "
                    f"{channels} channels ({reason_of(error)}); choose another rate or format"
                ) from error
            _set_tags(file, tags or {})

            def write(waveform: Tensor) -> None:
                samples = _storable(waveform, path, subtype=file.subtype, clamp=clamp)
                for begin in range(0, len(samples), BLOCK):
                    with _disk_errors(path, sink):
                        file.write(samples[begin : begin + BLOCK])

            try:
                yield write
            finally:
                file.close()


def read_tags(path: str | Path) -> dict[str, str]:
    """Return what a sound file says of itself, of the names in ``TAGS``; "" is left out.

    Raises:
        AudioError: if it is no sound file.
    """
    with open_audio(path) as file:
        found = {name: getattr(file, name) for name in TAGS}
    return {name: value for name, value in found.items() if value}


def shortened(text: str, size: int = LONGEST_TAG) -> str:
    """Return ``text``, or of a longer one as much as fits into ``size`` bytes of UTF-8 with "...".

    >>> shortened("rain on a roof", 9)
    'rain o...'
    """
    if len(text.encode()) <= size:
        return text
    return text.encode()[: size - 3].decode(errors="ignore") + "..."


def _set_tags(file: soundfile.SoundFile, tags: Mapping[str, str]) -> None:
    for name in TAGS:
        value = tags.get(name, "")
        if file.format == "MP3":  # its encoder takes bytes for Latin-1, whatever they are
            value = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().strip()
        if value:
            with suppress(soundfile.LibsndfileError):  # w64 holds no text
                setattr(file, name, shortened(value))


class _Sink:
    """A file for libsndfile that remembers what went wrong, as its encoders do not look."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self.error: OSError | None = None

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.close()

    def write(self, data: bytes) -> int:
        """Take bytes, or remember why not; libsndfile hears of no difference."""
        with self._remembering():
            self._file.write(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; what waited is written first."""
        with self._remembering():
            return self._file.seek(offset, whence)
        return 0

    def tell(self) -> int:
        """Return the place."""
        with self._remembering():
            return self._file.tell()
        return 0

    def flush(self) -> None:
        """Write what waits."""
        with self._remembering():
            self._file.flush()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
        except ValueError:  # closed: a SoundFile that failed looks once more when it is collected
            pass


@contextmanager
def _disk_errors(path: Path, sink: _Sink) -> Iterator[None]:
    """What libsndfile cannot write to an open file is the disk's fault, also if it says nothing."""
    try:
        yield
        sink.flush()
    except (soundfile.LibsndfileError, AssertionError) as error:  # it asserts that all was written
        sink.error = sink.error or OSError(errno.EIO, reason_of(error))
    if sink.error is not None:
        reason = (sink.error.strerror or str(sink.error)).lower()
        said = f"cannot be written ({reason}); is the disk full?"
        raise OSError(sink.error.errno, said, str(path)) from sink.error


def _storable(waveform: Tensor, path: Path, *, subtype: str, clamp: bool) -> np.ndarray:
    """Samples [T, C] as libsndfile takes them; int16 for 16 bits, whose scale is then exact."""
    require_finite(waveform, path)
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


def require_finite(waveform: Tensor, path: str | Path) -> None:
    """Raise AudioError if a sample is NaN or infinite."""
    if not waveform.isfinite().all():
        bad = int((~waveform.isfinite()).sum())
        raise AudioError(f"{path}: {bad} of {waveform.numel()} samples are NaN or infinite")
