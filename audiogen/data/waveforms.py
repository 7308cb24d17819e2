"""Random crops of sound, for the codec."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from audiogen.audio import read_clip
from audiogen.data.manifest import Clip, read_manifest
from audiogen.data.sampler import nth_of_pass
from audiogen.rng import item_generator


class WaveformDataset(Dataset[dict[str, Any]]):
    """Segments of the clips of one split of a manifest.

    Item ``i`` is the *global* sample number, which grows from pass to pass (`EndlessSampler`):
    clip and crop are a pure function of (seed, i).

    Args:
        manifest: path of the manifest.
        split: "train", "valid" or "test".
        sample_rate: Hz; files at other rates are resampled.
        channels: 1 mixes down.
        segment_duration: seconds of every item.
        num_samples: items per epoch; None means one per clip.
        seed: of the crops.
        sample_by: "clip": every pass over the clips shows each once; "duration": every item is of a
            clip drawn in proportion to its length, so that all seconds are as likely.
        min_segment_ratio: share of a segment that has to be sound, in (0, 1]; below 1, crops may
            begin so late that zeros fill up their end.
        fixed: for validation: clips in order, each cropped at its start.

    Items are ``{"waveform": float32 [C, T], "mask": bool [T], "index": int}``; ``mask`` is false
    on the zeros that fill up a short clip or a late crop.

    Raises:
        ValueError: if the manifest has no clip of that split, or a size is not positive.

    Source: the published training of AudioGen's codec draws by duration, with a ratio of 0.5.
    """

    def __init__(
        self,
        manifest: str | Path,
        *,
        split: str,
        sample_rate: int,
        segment_duration: float,
        seed: int,
        channels: int = 1,
        num_samples: int | None = None,
        sample_by: Literal["clip", "duration"] = "clip",
        min_segment_ratio: float = 1.0,
        fixed: bool = False,
    ) -> None:
        self.clips = [clip for clip in read_manifest(manifest) if clip.split == split]
        if not self.clips:
            raise ValueError(
                f'{manifest}: no clip has split "{split}"; check the name of the split'
            )
        self.num_frames = round(segment_duration * sample_rate)
        if self.num_frames < 1 or (num_samples is not None and num_samples < 1):
            raise ValueError(
                "segment_duration and num_samples must be positive, got "
                f"{segment_duration} s at {sample_rate} Hz and {num_samples}"
            )
        if sample_by not in ("clip", "duration"):
            raise ValueError(f"sample_by must be 'clip' or 'duration', got {sample_by!r}")
        if not 0 < min_segment_ratio <= 1:
            raise ValueError(f"min_segment_ratio must be in (0, 1], got {min_segment_ratio}")
        self.sample_rate = sample_rate
        self.channels = channels
        self.segment_duration = segment_duration
        self.num_samples = num_samples or len(self.clips)
        self.seed = seed
        self.min_share = min_segment_ratio * segment_duration  # seconds
        self.fixed = fixed
        self._ends: Tensor | None = None  # of the clips, laid end to end, in seconds
        if sample_by == "duration":
            lengths = torch.tensor([clip.duration for clip in self.clips], dtype=torch.float64)
            self._ends = lengths.cumsum(dim=0)

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip, start = self.choose(index)
        waveform = read_clip(
            clip.path,
            start=start,
            duration=min(self.segment_duration, clip.start + clip.duration - start),
            sample_rate=self.sample_rate,
            channels=self.channels,
        )
        return _padded(waveform, self.num_frames) | {"index": index}

    def choose(self, index: int) -> tuple[Clip, float]:
        """The clip of an item and where its crop begins, in seconds from the file's beginning."""
        if self.fixed:
            clip = self.clips[index % len(self.clips)]
            return clip, clip.start
        generator = item_generator(seed=self.seed, item=index)
        clip = self.clips[self._draw(index, generator)]
        share = torch.rand((), generator=generator, dtype=torch.float64).item()
        return clip, clip.start + share * max(0.0, clip.duration - self.min_share)

    def _draw(self, index: int, generator: torch.Generator) -> int:
        if self._ends is None:
            return nth_of_pass(index, count=len(self.clips), seed=self.seed)
        second = torch.rand((), generator=generator, dtype=torch.float64) * self._ends[-1]
        return min(int(torch.searchsorted(self._ends, second, right=True)), len(self.clips) - 1)


def _padded(waveform: Tensor, num_frames: int) -> dict[str, Tensor]:
    waveform = waveform[:, :num_frames]
    missing = num_frames - waveform.shape[1]
    mask = torch.arange(num_frames) < waveform.shape[1]
    return {"waveform": torch.nn.functional.pad(waveform, (0, missing)), "mask": mask}
