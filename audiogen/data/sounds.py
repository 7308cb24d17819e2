"""Captioned segments of sound, for a language model that is trained without cached codes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import Dataset

from audiogen.audio import SILENCE, AudioError
from audiogen.data.captions import Caption, as_said, pick_caption, require_labels
from audiogen.data.mixing import Mixing, mixing_generator
from audiogen.data.sampler import nth_of_pass
from audiogen.data.segments import Segment, cut, read_segment
from audiogen.data.waveforms import WaveformDataset
from audiogen.rng import derive_seed

log = logging.getLogger(__name__)

TRIES = 50  # other clips that an item asks for; where most crops are silent it takes a few


class SoundDataset(Dataset[dict[str, Any]]):
    """Segments of the clips of one split of a manifest, each with one of its captions.

    Item ``i`` is the *global* sample number, which grows from pass to pass (`EndlessSampler`):
    clip, crop and caption are a pure function of (seed, i). A clip that cannot be read gives its
    place to another, which i decides too; so does, among random crops, one without any sound.

    Args:
        manifest: path of the manifest.
        split: "train", "valid" or "test".
        sample_rate: Hz; files at other rates are resampled.
        segment_duration: seconds of every item.
        seed: of order, crops and captions.
        channels: 1 mixes down.
        num_samples: items per epoch; None means one per clip or segment.
        sample_by: "clip" and "duration" crop at random, see `WaveformDataset`; "segment" cuts clips
            as `audiogen.encode` does and shows them in the order, and with the captions, that a
            `TokenDataset` of their codes has: training is then the same.
        min_segment_ratio: of random crops, see `WaveformDataset`.
        lower_case: captions in lower case, as the published models were trained, but not used.
        attributes: attribute that the text encoder reads -> label of the clips that it is; captions
            then are mappings of these and "description". None gives plain captions.
        fixed: for validation: segments in order, each with its first caption.
        max_unreadable: share of the clips that may turn out unreadable to one process; at least one
            may, unless it is 0.

    Items are ``{"waveform": float32 [C, T], "num_samples": int, "caption": Caption,
    "index": int, "replaced": int, "fixed": bool}``; the waveform is 0 behind ``num_samples``, and
    ``replaced`` are the clips that were tried before.

    Raises:
        ValueError: if the manifest has no clip of that split, or a value makes no sense.
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
        sample_by: Literal["clip", "duration", "segment"] = "clip",
        min_segment_ratio: float = 1.0,
        lower_case: bool = False,
        attributes: Mapping[str, str] | None = None,
        fixed: bool = False,
        max_unreadable: float = 0.01,
    ) -> None:
        if sample_by not in ("clip", "duration", "segment"):
            raise ValueError(f"sample_by must be clip, duration or segment, got {sample_by!r}")
        if not 0 <= max_unreadable <= 1:
            raise ValueError(f"max_unreadable must be in [0, 1], got {max_unreadable}")
        self._crops = WaveformDataset(
            manifest,
            split=split,
            sample_rate=sample_rate,
            segment_duration=segment_duration,
            seed=derive_seed(seed, "crop"),  # captions draw from the stream of ``seed``
            channels=channels,
            num_samples=num_samples,
            sample_by="duration" if sample_by == "duration" else "clip",
            min_segment_ratio=min_segment_ratio,
        )
        clips = self._crops.clips
        self.segments: list[Segment] | None = None  # what is not cropped at random
        if fixed or sample_by == "segment":
            self.segments = [piece for clip in clips for piece in cut(clip, segment_duration)]
        self.manifest = Path(manifest)
        self.sample_rate = sample_rate
        self.channels = channels
        self.segment_duration = segment_duration
        self.num_frames = self._crops.num_frames
        self.num_samples = num_samples or len(self.segments or clips)
        self.seed = seed
        self.lower_case = lower_case
        self.attributes = dict(attributes or {})
        require_labels([clip.labels for clip in clips], self.attributes)
        self.fixed = fixed
        self.num_clips = len(clips)
        self.most_unreadable = max(1.0, max_unreadable * len(clips)) if max_unreadable else 0.0
        self.unreadable: dict[str, str] = {}  # id of clip -> reason, as far as this process knows
        self.silent: set[str] = set()  # ids of segments
        untold = sum(not clip.captions for clip in clips)
        if untold:
            log.warning(
                "%s: %d of %d clips have no caption, and train the model without text",
                manifest,
                untold,
                len(clips),
            )

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        problem = ""
        for replaced in range(TRIES + 1):
            segment = self._choose(index, replaced)
            try:
                waveform = self._read(segment)
            except AudioError as error:
                problem = str(error)
                continue
            missing = self.num_frames - waveform.shape[1]
            return {
                "waveform": pad(waveform, (0, missing)),
                "num_samples": waveform.shape[1],
                "caption": self._caption(segment, index),
                "index": index,
                "replaced": replaced,
                "fixed": self.fixed,
            }
        raise UnreadableError(
            f"{self.manifest}: item {index} met {TRIES + 1} clips of no use; the last: {problem}"
        )

    def _choose(self, index: int, replaced: int) -> Segment:
        """What an item shows, or what it shows when so many others had nothing to show."""
        if self.fixed and self.segments is not None:
            return self.segments[(index + replaced) % len(self.segments)]
        number = derive_seed(index, "instead", replaced) if replaced else index
        if self.segments is not None:
            return self.segments[nth_of_pass(number, count=len(self.segments), seed=self.seed)]
        clip, start = self._crops.choose(number)
        end = min(start + self.segment_duration, clip.start + clip.duration)
        return Segment(id=clip.id, clip=clip, start=start, duration=end - start)

    def _read(self, segment: Segment) -> Tensor:
        """Read float32 [C, t], or raise AudioError and keep the score of what is unreadable."""
        try:
            waveform = read_segment(
                segment,
                sample_rate=self.sample_rate,
                channels=self.channels,
                num_samples=self.num_frames,
            )
        except AudioError as error:
            self._give_up(segment, str(error))
            raise
        if waveform.abs().max() <= SILENCE:
            self._note_silence(segment)
            if self.segments is None:
                raise AudioError(f"{segment.clip.path}: silent from {segment.start:.2f} s on")
        return waveform

    def _give_up(self, segment: Segment, reason: str) -> None:
        known = self.unreadable
        if segment.clip.id in known:
            return
        known[segment.clip.id] = reason
        if _is_worth_saying(len(known)):
            log.warning("%s; another clip takes its place (%d so far)", reason, len(known))
        if len(known) > self.most_unreadable:
            raise UnreadableError(
                f"{self.manifest}: {len(known)} of {self.num_clips} clips cannot be read: is the "
                "disk there? Leave them out of the manifest, or allow more by max_unreadable; the "
                f"first: {next(iter(known.values()))}"
            )

    def _note_silence(self, segment: Segment) -> None:
        if segment.id in self.silent:
            return
        self.silent.add(segment.id)
        count = len(self.silent)
        if _is_worth_saying(count):
            what = "another takes its place" if self.segments is None else "trained on as it is"
            where = f"{segment.clip.path}: silent from {segment.start:.2f} s on"
            log.warning("%s, %s (%d so far)", where, what, count)

    def _caption(self, segment: Segment, index: int) -> Caption:
        clip = segment.clip
        caption = pick_caption(clip.captions, seed=self.seed, item=index, first=self.fixed)
        return as_said(caption, clip.labels, attributes=self.attributes, lower_case=self.lower_case)


def _is_worth_saying(count: int) -> bool:
    return count <= 10 or count in (100, 1000, 10_000, 100_000)


class UnreadableError(ValueError):
    """So many clips cannot be read that the manifest, or the disk, has to be looked at."""


def collate_sounds(
    items: Sequence[Mapping[str, Any]], *, mixing: Mixing | None = None, seed: int = 0
) -> dict[str, Any]:
    """Stack items of a `SoundDataset`, and mix them unless they are fixed ones.

    Args:
        items: B of them.
        mixing: what to mix and how; None for nothing.
        seed: of the mixing, which is a function of it and the first item's number.

    Returns:
        waveform float32 [B, C, T]; num_samples int64 [B]; captions list[Caption]; index and
        replaced int64 [B].
    """
    batch: dict[str, Any] = {
        "waveform": torch.stack([item["waveform"] for item in items]),
        "captions": [item["caption"] for item in items],
    }
    for name in ("num_samples", "index", "replaced"):
        batch[name] = torch.tensor([item[name] for item in items])
    if mixing is None or any(item["fixed"] for item in items):
        return batch
    return mixing(batch, mixing_generator(seed, int(batch["index"][0])))
