"""Clips through the codec and back: what each lost, and how often each code was used."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiogen.audio import audio_info, read_clip
from audiogen.codec.health import count_codes
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, read_manifest
from evaluation.metrics.distortion import si_sdr
from evaluation.metrics.level import level_difference
from evaluation.metrics.spectral import log_spectral_distance, mel_distance

BOUND = 100.0  # dB; a clip that is perfect, or lost altogether, must not decide a mean alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """What one clip lost on its way through the codec; None where the original is silent."""

    si_sdr: float | None  # dB, higher is better
    mel_distance: float  # log10 power, lower is better
    log_spectral: float  # dB, lower is better
    level: float | None  # dB, round trip over original


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundTrips:
    """All clips, scored."""

    scores: dict[str, Scores]  # by the clip's id
    counts: Tensor  # int64 [K, N], how often each code of each codebook was written


def clips_of(manifest: Path, split: str, codec: Codec) -> list[Clip]:
    """Return the clips of a split that a codec can be judged by, without reading their sound.

    Raises:
        ValueError: if there are none, a file has another sample rate than the codec, or a clip is
            shorter than a frame.
    """
    clips = [clip for clip in read_manifest(manifest) if clip.split == split]
    if not clips:
        raise ValueError(f"{manifest}: no clip of the split “{split}”, nothing to judge")
    for clip in clips:
        rate = audio_info(clip.path).sample_rate
        if rate != codec.sample_rate:
            raise ValueError(
                f"{clip.path}: {rate} Hz, and the codec works at {codec.sample_rate} Hz; prepare "
                f"the sounds with --sample-rate {codec.sample_rate}"
            )
        if round(clip.duration * rate) < codec.hop_length:
            raise ValueError(
                f"{manifest}: clip {clip.id} of {clip.duration:g} s is shorter than a frame of the "
                f"codec ({codec.hop_length / rate:g} s); leave it out"
            )
    return clips


@torch.no_grad()
def round_trip(codec: Codec, clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
    """Send a clip through a codec in eval mode.

    Returns:
        The original and what came back, float [1, C, T], and the codes, int64 [1, K, frames].

    Raises:
        ValueError: if the clip cannot be read, or comes back as NaN or infinite.
    """
    original = read_clip(
        clip.path,
        start=clip.start,
        duration=clip.duration,
        sample_rate=codec.sample_rate,
        channels=codec.channels,
    )[None]
    try:
        codes, scale = codec.encode(original)
        returned = codec.decode(codes, scale)[..., : original.shape[-1]]
    except ValueError as error:
        raise ValueError(f"{clip.path}: {error}") from error
    return original, returned, codes


def score(original: Tensor, returned: Tensor, *, sample_rate: int) -> Scores:
    """Compare float [1, C, T] with what came back of it."""
    level = torch.tensor(-BOUND)
    if returned.any() or not original.any():
        level = level_difference(original.flatten(), returned.flatten())
    return Scores(
        si_sdr=_bounded(si_sdr(original, returned)),
        mel_distance=float(mel_distance(original, returned, sample_rate=sample_rate)),
        log_spectral=float(log_spectral_distance(original, returned)),
        level=_bounded(level),
    )


def score_clips(codec: Codec, clips: Iterable[Clip]) -> RoundTrips:
    """Send all clips through the codec, one at a time."""
    counts = torch.zeros(codec.num_codebooks, codec.codebook_size, dtype=torch.int64)
    scores = {}
    for clip in clips:
        original, returned, codes = round_trip(codec, clip)
        counts += count_codes(codes, codec.codebook_size)
        scores[clip.id] = score(original, returned, sample_rate=codec.sample_rate)
    return RoundTrips(scores=scores, counts=counts)


def _bounded(decibels: Tensor) -> float | None:
    number = float(decibels)
    return None if math.isnan(number) else min(max(number, -BOUND), BOUND)
