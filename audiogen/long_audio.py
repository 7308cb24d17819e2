"""Sounds too long for memory: read and written block by block, to what the whole would be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from torch import Tensor

from audiogen.audio import AudioError, AudioInfo, as_channels, audio_info, audio_writer, resample
from audiogen.resampling import input_span, rate_ratio
from audiogen.sndfile import check_promise, decode, open_audio

BLOCK = 1 << 15  # samples per channel


@dataclass(slots=True)
class Peaks:
    """Largest magnitudes so far: of the loudest channel of a file, and of what they were mixed to.

    Channels of opposite sign cancel, and a microphone wired the wrong way round gives such.
    """

    channels: float = 0.0
    mixed: float = 0.0

    def add(self, channels: Tensor, mixed: Tensor) -> None:
        """Look at float [C, t] before and after mixing."""
        if channels.numel():
            self.channels = max(self.channels, channels.abs().max().item())
            self.mixed = max(self.mixed, mixed.abs().max().item())

    @property
    def cancel(self) -> bool:
        """Whether mixing lost more than 40 dB."""
        return self.mixed < 0.01 * self.channels


@dataclass(frozen=True, kw_only=True, slots=True)
class LongAudio:
    """A file of any length, at another rate and channel count; blocks are read when asked for.

    Joined they are what `audiogen.audio.read_audio` gives for the whole file. (libsndfile decodes
    the last 20 ms of an opus file a little differently for every way to read it.)

    Raises:
        AudioError: as `read_audio` does; for samples that are NaN or infinite, and for damage
            behind the header, when the block that has them is read.
    """

    path: Path
    sample_rate: int  # Hz of the blocks
    channels: int  # of the blocks: 1 takes the mean, more repeat a mono file
    info: AudioInfo  # of the file
    num_samples: int  # per channel of all blocks

    @classmethod
    def open(cls, path: str | Path, *, sample_rate: int, channels: int) -> "LongAudio":
        """Read the header of a file and check what it promises."""
        info = audio_info(path)
        if info.frames == 0:
            raise AudioError(f"{path}: no samples: only a header; record or export it again")
        check_promise(path)
        as_channels(torch.zeros(info.channels, 1), channels, path)
        up, down = rate_ratio(info.sample_rate, sample_rate)
        return cls(
            path=Path(path),
            sample_rate=sample_rate,
            channels=channels,
            info=info,
            num_samples=-(-info.frames * up // down),
        )

    def blocks(self, size: int = BLOCK, *, peaks: Peaks | None = None) -> Iterator[Tensor]:
        """Yield float32 [C, t] in order, t being ``size`` but for the last; may be called again.

        ``peaks`` sees what is read.
        """
        up, down = rate_ratio(self.info.sample_rate, self.sample_rate)
        with open_audio(self.path) as file:
            kept, start = torch.zeros(self.channels, 0), 0  # own frames from ``start`` on
            for first in range(0, self.num_samples, size):
                last = min(first + size, self.num_samples)
                begin, end = input_span(first, last, up=up, down=down, frames=self.info.frames)
                fresh = decode(file, self.path, start + kept.shape[1], end)
                mixed = as_channels(fresh, self.channels, self.path)
                if peaks is not None:
                    peaks.add(fresh, mixed)
                kept, start = torch.cat([kept[:, begin - start :], mixed], dim=1), begin
                offset = first - begin // down * up
                yield resample(kept, down, up)[:, offset : offset + last - first].contiguous()


@contextmanager
def turned_down_writer(
    path: str | Path, sample_rate: int, channels: int
) -> Iterator[Callable[[Tensor], None]]:
    """Yield a function that appends float32 [C, t]; the file is that of clipping="rescale".

    A sound whose peak is beyond full scale is turned down as a whole, and the peak is known at
    the end only. So samples wait in a nameless file beside ``path`` (4 bytes each), which
    vanishes with the process whatever happens to it.

    Raises:
        AudioError: for NaN or infinite samples, and as `audiogen.audio.audio_writer` does.
        OSError: if the disk is full, or the folder takes no files.
    """
    peak = 1.0
    with (
        audio_writer(path, sample_rate, channels) as write,
        TemporaryFile(dir=Path(path).parent) as waiting,
    ):

        def append(waveform: Tensor) -> None:
            nonlocal peak
            if not waveform.isfinite().all():
                bad = int((~waveform.isfinite()).sum())
                raise AudioError(f"{path}: {bad} of {waveform.numel()} samples are not finite")
            peak = max(peak, waveform.abs().amax().item() if waveform.numel() else 0.0)
            waiting.write(waveform.T.float().contiguous().numpy().tobytes())

        yield append
        waiting.seek(0)
        while data := waiting.read(4 * channels * BLOCK):
            block = np.frombuffer(data, dtype=np.float32).reshape(-1, channels)
            write(torch.from_numpy(block.T / np.float32(peak)))
