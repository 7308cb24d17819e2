"""Pieces of clips: how long sounds are cut, the same for codes made once and sounds read anew."""

from dataclasses import dataclass

from torch import Tensor

from audiogen.audio import read_clip
from audiogen.data.manifest import Clip

SHORTEST_REST = 0.1  # of a segment: what is left over at the end of a clip is dropped below this


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A piece of a clip that becomes one row of codes."""

    id: str  # the clip's, with "#n" behind it where the clip has several
    clip: Clip
    start: float  # seconds from the beginning of the file
    duration: float  # seconds


def cut(clip: Clip, segment_duration: float) -> list[Segment]:
    """Cut a clip into consecutive segments of ``segment_duration`` seconds; the last is shorter."""
    whole, rest = divmod(clip.duration, segment_duration)
    count = int(whole) + int(whole == 0 or rest >= SHORTEST_REST * segment_duration)
    return [
        Segment(
            id=clip.id if count == 1 else f"{clip.id}#{number}",
            clip=clip,
            start=clip.start + number * segment_duration,
            duration=min(segment_duration, clip.duration - number * segment_duration),
        )
        for number in range(count)
    ]


def read_segment(segment: Segment, *, sample_rate: int, channels: int, num_samples: int) -> Tensor:
    """Read float32 [C, t] of at most ``num_samples``; raises AudioError as `read_clip` does."""
    waveform = read_clip(
        segment.clip.path,
        start=segment.start,
        duration=segment.duration,
        sample_rate=sample_rate,
        channels=channels,
    )
    return waveform[:, :num_samples]
