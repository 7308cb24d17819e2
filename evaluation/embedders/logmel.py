"""Log-mel statistics: a stand-in for a pretrained embedder, where there are no weights.

A Frechet distance on these vectors is not FAD and is never called so: it sees spectrum, loudness
and how fast they change, but not what a sound is. It is fixed, fast and needs no download.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

BANDS = 16
LOW, HIGH = 50.0, 8000.0  # Hz
WINDOW, HOP = 0.032, 0.01  # seconds, of one spectrum
LONGEST = 3600.0  # seconds, of a patch
WHOLE = 1e-6  # how near a number of hops is to a whole one
BLOCK = 4096  # spectra at a time
FLOOR = 1e-6  # power of a band, full-scale sine about 1: 60 dB below it is silence


class LogMelStatistics:
    """Mean, spread and pace of 16 log-mel bands over patches of sound: 48 numbers each."""

    name = "logmel-statistics"
    version = "1"
    dim = 3 * BANDS

    def __init__(self, *, sample_rate: int, patch: float, hop: float) -> None:
        """Take the rate in Hz, and length and hop of a patch in seconds."""
        if sample_rate < 2 * HIGH:
            raise ValueError(
                f"sample_rate must be at least {2 * HIGH:.0f} Hz to reach {HIGH:.0f} Hz, "
                f"got {sample_rate}"
            )
        if not 0 < hop <= patch:
            raise ValueError(f"expected 0 < hop <= patch in seconds, got {hop} and {patch}")
        check_seconds("patch", patch, least=2 * HOP)
        check_seconds("hop", hop, least=HOP)
        self.sample_rate = sample_rate
        self.frames = round(patch / HOP)
        self.frame_hop = round(hop / HOP)
        self.length = round(WINDOW * sample_rate)
        self.step = round(HOP * sample_rate)
        self.bank = melscale_fbanks(
            self.length // 2 + 1, LOW, HIGH, BANDS, sample_rate, norm=None, mel_scale="htk"
        )

    def __call__(self, waveform: Tensor) -> Tensor:
        """Map float [T] at `sample_rate`, full scale 1, to float32 [n, 48], n >= 1."""
        return patch_statistics(self.patches(waveform))

    def patches(self, waveform: Tensor) -> Tensor:
        """Cut float [T] at `sample_rate` into log-mel patches, float32 [n, frames, 16], n >= 1.

        A sound shorter than one patch is one short patch; a tail shorter than a patch is dropped.
        """
        mel = self.log_mel(waveform)
        if len(mel) > self.frames:
            return mel.unfold(0, self.frames, self.frame_hop).transpose(1, 2)
        return mel[None]

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Return the natural log of band powers, float32 [frames, 16], two frames or more."""
        if waveform.ndim != 1:
            raise ValueError(f"expected a mono waveform [T], got {list(waveform.shape)}")
        shortfall = self.length + self.step - len(waveform)
        if shortfall > 0:
            waveform = torch.nn.functional.pad(waveform, (0, shortfall))
        window = torch.hann_window(self.length)
        scale, mel = 2 / window.sum(), []
        for frames in waveform.float().unfold(0, self.length, self.step).split(BLOCK):
            power = (torch.fft.rfft(frames * window).abs() * scale).square()
            mel.append((power @ self.bank + FLOOR).log())
        return torch.cat(mel)


class LogMelFeatures:
    """Log-mel statistics as a `FeatureNetwork`: no weights, so `stand_in` is never set."""

    name = LogMelStatistics.name
    version = LogMelStatistics.version
    outputs: Mapping[str, int] = {"embedding": LogMelStatistics.dim}
    weights_sha256 = None

    def __init__(self, statistics: LogMelStatistics) -> None:
        self.statistics = statistics
        self.sample_rate = statistics.sample_rate

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [T] to patches, float32 [n, frames, 16], n >= 1."""
        return self.statistics.patches(waveform)

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map patches to {"embedding": float32 [n, 48]}."""
        return {"embedding": patch_statistics(windows)}


def patch_statistics(patches: Tensor) -> Tensor:
    """Map patches float [n, frames, 16] to mean, spread and pace of each band, [n, 48]."""
    pace = patches.diff(dim=1).abs().mean(dim=1)
    return torch.cat([patches.mean(dim=1), patches.std(dim=1, correction=0), pace], dim=1)


def check_seconds(name: str, value: float, *, least: float) -> None:
    """Refuse a time that would not be taken as it stands.

    Raises:
        ValueError: if it is no multiple of the hop of spectra, too short or too long.
    """
    whole = least <= value <= LONGEST and abs(value / HOP - round(value / HOP)) < WHOLE
    if not whole:
        raise ValueError(
            f"{name} must be a multiple of {HOP} s from {least} to {LONGEST} s, got {value}"
        )


def build(
    *, weights: Path | None, device: torch.device, dtype: torch.dtype, **options: Any
) -> LogMelFeatures:
    """Build it with the options of a card; it works on the CPU and in float32 wherever asked."""
    if weights is not None:
        raise ValueError(f"log-mel statistics have no weights, got {weights}")
    return LogMelFeatures(LogMelStatistics(**options))
