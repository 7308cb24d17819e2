"""Manifest -> codes: run a codec over every clip once, so that training the LM reads no audio."""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from audiogen.audio import SILENCE, AudioError
from audiogen.codec.model import Codec
from audiogen.data.manifest import manifest_hash, read_manifest
from audiogen.data.segments import Segment, cut, read_segment
from audiogen.data.shards import TokenShardWriter
from audiogen.device import usable_device


def encode_manifest(
    codec: Codec,
    manifest: str | Path,
    out: str | Path,
    *,
    segment_duration: float,
    batch_size: int,
    shard_size: int,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    progress: bool = True,
) -> Path:
    """Encode every clip of every split into a folder for `audiogen.data.tokens.TokenDataset`.

    A clip longer than ``segment_duration`` gives consecutive segments; a rest shorter than a tenth
    of a segment is dropped. A killed run goes on behind its last whole shard, and a batch never
    reaches over the end of a shard, so that the folder ends up with the bytes of an undisturbed
    run. Clips that cannot be read are left out and listed in skipped.jsonl, each with its reason;
    segments without any sound are kept and marked, so that whoever trains on them is told.

    Args:
        codec: sets sample rate and channels; moved to ``device``.
        manifest: path of the manifest.
        out: folder to write; one begun with another codec, manifest or sizes is refused.
        segment_duration: seconds of one row of codes.
        batch_size: segments encoded at once.
        shard_size: segments per file.
        device: where the codec runs.
        num_workers: processes that read ahead.
        progress: shows a bar with the time left, on stderr.

    Returns:
        ``out``.

    Raises:
        TokenError: if ``out`` belongs to something else, or no clip at all could be read.
        ValueError: if a size is not positive, the manifest has no clips, or the codec normalizes
            loudness: its codes alone would not say how loud a sound was.
    """
    _check(codec, segment_duration, batch_size, shard_size, num_workers)
    device = usable_device(device)
    segments = [piece for clip in read_manifest(manifest) for piece in cut(clip, segment_duration)]
    if not segments:
        raise ValueError(f"{manifest}: no clips; a recipe in recipes/datasets fills a manifest")
    num_samples = round(segment_duration * codec.sample_rate)
    facts = _facts(codec, num_samples) | {
        "segment_duration": segment_duration,
        "shard_size": shard_size,
        "manifest_hash": manifest_hash(manifest),
    }
    writer = TokenShardWriter(out, facts=facts)
    shards = [segments[begin : begin + shard_size] for begin in range(0, len(segments), shard_size)]
    waiting = [shard for shard in range(len(shards)) if not writer.has(shard)]
    left = sum(len(shards[shard]) for shard in waiting)
    with (
        _evaluating(codec, device),
        tqdm(
            desc="encoding",
            unit="clip",
            total=len(segments),
            initial=len(segments) - left,
            disable=not progress,
            file=sys.stderr,
        ) as bar,
    ):
        for shard in waiting:
            reader = _Reader(shards[shard], codec.sample_rate, codec.channels, num_samples)
            loader = DataLoader(
                reader, batch_size=batch_size, num_workers=num_workers, collate_fn=list
            )
            rows = _Rows(codec, facts["segment_frames"], device)
            for batch in loader:
                rows.add(batch)
                bar.update(len(batch))
            writer.write(shard, rows.codes(), rows.items, skipped=rows.skipped)
    writer.finish(num_shards=len(shards))
    return Path(out)


class _Reader(Dataset[tuple[Segment, Tensor | str]]):
    """Segments with their waveform float32 [C, t], or with the reason why there is none."""

    def __init__(
        self, segments: Sequence[Segment], sample_rate: int, channels: int, num_samples: int
    ) -> None:
        self.segments = segments
        self.sample_rate = sample_rate
        self.channels = channels
        self.num_samples = num_samples

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> tuple[Segment, Tensor | str]:
        segment = self.segments[index]
        try:
            return segment, read_segment(
                segment,
                sample_rate=self.sample_rate,
                channels=self.channels,
                num_samples=self.num_samples,
            )
        except AudioError as error:
            return segment, str(error)


class _Rows:
    """The rows of one shard, in the order of its segments."""

    def __init__(self, codec: Codec, segment_frames: int, device: torch.device | str) -> None:
        self.codec = codec
        self.segment_frames = segment_frames
        self.device = device
        self.items: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self._codes = [np.zeros((0, codec.num_codebooks, segment_frames), dtype=np.uint16)]

    def add(self, batch: Sequence[tuple[Segment, Tensor | str]]) -> None:
        """Encode the segments that could be read and note the reason for the others."""
        readable = []
        for segment, sound in batch:
            if isinstance(sound, str):
                self.skipped.append({"id": segment.id, "reason": sound})
            else:
                readable.append((segment, sound))
        if not readable:
            return
        frames = torch.tensor([-(-w.shape[1] // self.codec.hop_length) for _, w in readable])
        # One length for all, so that the row of a sound does not depend on its neighbors.
        size = self.segment_frames * self.codec.hop_length
        waveforms = torch.stack([pad(w, (0, size - w.shape[1])) for _, w in readable])
        codes, _ = self.codec.encode(waveforms.to(self.device))
        inside = torch.arange(self.segment_frames) < frames[:, None, None]
        self._codes.append((codes.cpu() * inside).numpy().astype(np.uint16))
        for (segment, waveform), count in zip(readable, frames, strict=True):
            silent = {"silent": True} if waveform.abs().max() <= SILENCE else {}
            self.items.append(_item(segment, int(count)) | silent)

    def codes(self) -> np.ndarray:
        """All codes so far, uint16 [n, K, T]."""
        return np.concatenate(self._codes)


def _item(segment: Segment, frames: int) -> dict[str, Any]:
    clip = segment.clip
    return {
        "id": segment.id,
        "captions": list(clip.captions),
        "frames": frames,
        "split": clip.split,
        "labels": dict(clip.labels),
        "licence": clip.licence,
        "source": clip.source,
    }


@contextmanager
def _evaluating(codec: Codec, device: torch.device | str) -> Iterator[None]:
    training = codec.training
    codec.to(device).eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        codec.train(training)


def _facts(codec: Codec, num_samples: int) -> dict[str, Any]:
    return {
        "codec_hash": codec.fingerprint(),
        "sample_rate": codec.sample_rate,
        "frame_rate": codec.frame_rate,
        "num_codebooks": codec.num_codebooks,
        "codebook_size": codec.codebook_size,
        "segment_frames": -(-num_samples // codec.hop_length),
    }


def _check(
    codec: Codec, segment_duration: float, batch_size: int, shard_size: int, num_workers: int
) -> None:
    counts = (batch_size, shard_size)
    numbers = isinstance(segment_duration, int | float) and all(isinstance(n, int) for n in counts)
    if not numbers or not math.isfinite(segment_duration) or min(segment_duration, *counts) <= 0:
        raise ValueError(
            "segment_duration, batch_size and shard_size must be positive, got "
            f"{segment_duration}, {batch_size} and {shard_size}"
        )
    if round(segment_duration * codec.sample_rate) < 1:
        raise ValueError(f"segment_duration of {segment_duration} s is shorter than one sample")
    if not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"num_workers must be 0 or more, got {num_workers}")
    if codec.renormalize:
        raise ValueError(
            "a codec with renormalize=True needs a scale beside its codes, which the language "
            "model does not know; train one with renormalize=False"
        )
