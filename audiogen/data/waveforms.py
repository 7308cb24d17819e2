"""Random crops of sound, for the codec."""

from pathlib import Path
from typing import Any

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
    clip and crop are a pure function of (seed, i). Every pass over the clips shows each once.

    Args:
        manifest: path of the manifest.
        split: "train", "valid" or "test".
        sample_rate: Hz; files at other rates are resampled.
        channels: 1 mixes down.
        segment_duration: seconds of every item.
        num_samples: items per epoch; None means one per clip.
        seed: of the crops.
        fixed: for validation: clips in order, each cropped at its start.

    Items are ``{"waveform": float32 [C, T], "mask": bool [T], "index": int}``; ``mask`` is false
    on the zeros that fill up a short clip.

    Raises:
        ValueError: if the manifest has no clip of that split, or a size is not positive.
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
        self.sample_rate = sample_rate
        self.channels = channels
        self.segment_duration = segment_duration
        self.num_samples = num_samples or len(self.clips)
        self.seed = seed
        self.fixed = fixed

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip, start = self._choose(index)
        waveform = read_clip(
            clip.path,
            start=start,
            duration=min(self.segment_duration, clip.duration),
            sample_rate=self.sample_rate,
            channels=self.channels,
        )
        return _padded(waveform, self.num_frames) | {"index": index}

    def _choose(self, index: int) -> tuple[Clip, float]:
        """The clip of an item and where its crop begins, in seconds from the file's beginning."""
        if self.fixed:
            clip = self.clips[index % len(self.clips)]
            return clip, clip.start
        clip = self.clips[nth_of_pass(index, count=len(self.clips), seed=self.seed)]
        generator = item_generator(seed=self.seed, item=index)
        share = torch.rand((), generator=generator, dtype=torch.float64).item()
        return clip, clip.start + share * max(0.0, clip.duration - self.segment_duration)


def _padded(waveform: Tensor, num_frames: int) -> dict[str, Tensor]:
    waveform = waveform[:, :num_frames]
    missing = num_frames - waveform.shape[1]
    mask = torch.arange(num_frames) < waveform.shape[1]
    return {"waveform": torch.nn.functional.pad(waveform, (0, missing)), "mask": mask}
