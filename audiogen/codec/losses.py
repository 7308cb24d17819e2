"""What a codec is trained on: distances of waveforms and of their mel spectrograms.

Waveforms are float [B, C, T] in [-1, 1]; the estimate comes first, the reference second. Losses
are float32 scalars. Source: EnCodec (arXiv:2210.13438), section 3.4.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.codec.mel import MelSpectrogram


def level_pair(
    estimate: Tensor, reference: Tensor, *, min_rms: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Scale both by the gain that gives each reference item an RMS of 1.

    Quiet items then weigh as much as loud ones; below ``min_rms`` the gain grows no further.
    """
    if not min_rms > 0:
        raise ValueError(f"min_rms must be above 0, or silence divides by it, got {min_rms}")
    estimate, reference = estimate.float(), reference.float()
    rms = reference.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=min_rms)
    return estimate / rms, reference / rms


class MultiScaleMelLoss(nn.Module):
    """Distance of mel spectrograms at several resolutions.

    Args:
        sample_rate: Hz.
        n_ffts: window lengths in samples; the hop is a quarter of each.
        num_mels: bands M, one number for all or one per window length.
        f_min, f_max: Hz; None is half the sample rate.
        power: 2 compares energies, 1 magnitudes.
        eps: added before the logarithm; on the scale of |X| ** power.
        linear_l1, log_l1, log_l2: weights of the mean absolute difference, and of the mean
            absolute and squared difference of log10.
        convergence: weight of |difference| / |reference|, Euclidean norms per item: the same for
            a quiet sound as for a loud one.

        alphas: multiply ``log_l2`` by sqrt(n_fft - 1): long windows weigh more.
        normalized: divide spectra by the norm of their window, and the sum over the resolutions
            by the sum of all its weights; False does neither.

    The defaults are those of EnCodec's published training for sound effects.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        n_ffts: Sequence[int] = (64, 128, 256, 512, 1024),
        num_mels: int | Sequence[int] = 64,
        f_min: float = 64.0,
        f_max: float | None = None,
        power: float = 2.0,
        eps: float = 1e-5,
        linear_l1: float = 1.0,
        log_l1: float = 0.0,
        log_l2: float = 1.0,
        convergence: float = 0.0,
        alphas: bool = False,
        normalized: bool = True,
    ) -> None:
        super().__init__()
        bands = [num_mels] * len(n_ffts) if isinstance(num_mels, int) else list(num_mels)
        if not n_ffts or len(bands) != len(n_ffts):
            raise ValueError(
                f"expected one num_mels per window length, got {len(bands)} for {list(n_ffts)}"
            )
        weights = (linear_l1, log_l1, log_l2, convergence)
        if not all(0 <= weight < math.inf for weight in weights) or sum(weights) == 0:
            raise ValueError(f"weights must be non-negative and not all zero, got {weights}")
        if not (0 < eps < math.inf and 0 < power < math.inf):
            raise ValueError(f"eps and power must be positive, got {eps} and {power}")
        self.eps = eps
        self.linear_l1 = linear_l1
        self.log_l1 = log_l1
        self.log_l2 = [log_l2 * (math.sqrt(n_fft - 1) if alphas else 1.0) for n_fft in n_ffts]
        self.convergence = convergence
        self.normalized = normalized
        self.spectrograms = nn.ModuleList(
            MelSpectrogram(
                sample_rate=sample_rate,
                n_fft=n_fft,
                num_mels=count,
                f_min=f_min,
                f_max=f_max,
                power=power,
                normalized=normalized,
            )
            for n_fft, count in zip(n_ffts, bands, strict=True)
        )

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Distance of float [B, C, T] and [B, C, T]."""
        _check_pair(estimate, reference)
        with torch.autocast(estimate.device.type, enabled=False):
            pair = torch.cat([estimate.float(), reference.float()])  # one STFT for both
            total = torch.stack(
                [
                    self._distance(*mel(pair).chunk(2), log_l2=log_l2)
                    for mel, log_l2 in zip(self.spectrograms, self.log_l2, strict=True)
                ]
            ).sum()
        fixed = self.linear_l1 + self.log_l1 + self.convergence
        return total / (len(self.log_l2) * fixed + sum(self.log_l2)) if self.normalized else total

    def _distance(self, estimate: Tensor, reference: Tensor, *, log_l2: float) -> Tensor:
        terms = []
        if self.linear_l1:
            terms.append(self.linear_l1 * F.l1_loss(estimate, reference))
        if self.log_l1 or log_l2:
            log_estimate = (estimate + self.eps).log10()
            log_reference = (reference + self.eps).log10()
        if self.log_l1:
            terms.append(self.log_l1 * F.l1_loss(log_estimate, log_reference))
        if log_l2:
            terms.append(log_l2 * F.mse_loss(log_estimate, log_reference))
        if self.convergence:
            error = (estimate - reference).flatten(1).norm(dim=1)
            size = reference.flatten(1).norm(dim=1).clamp(min=self.eps)
            terms.append(self.convergence * (error / size).mean())
        return torch.stack(terms).sum()


class LogMelLoss(MultiScaleMelLoss):
    """Mean absolute difference of log10 mel energies at one resolution: AudioCraft's ``mel``.

    Its published training looks at it and does not learn from it.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int = 1024,
        num_mels: int = 64,
        f_min: float = 64.0,
        f_max: float | None = None,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            n_ffts=[n_fft],
            num_mels=num_mels,
            f_min=f_min,
            f_max=f_max,
            linear_l1=0.0,
            log_l1=1.0,
            log_l2=0.0,
            normalized=False,
        )


class SISNRLoss(nn.Module):
    """Negative `si_snr`, dB: lower is better, as of every loss."""

    def __init__(self, *, sample_rate: int, segment: float = 5.0, overlap: float = 0.5) -> None:
        super().__init__()
        _check_segment(segment, overlap)
        self.sample_rate = sample_rate
        self.segment = segment
        self.overlap = overlap

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Loss of float [B, C, T] and [B, C, T]."""
        return -si_snr(
            estimate,
            reference,
            sample_rate=self.sample_rate,
            segment=self.segment,
            overlap=self.overlap,
        )


def si_snr(
    estimate: Tensor,
    reference: Tensor,
    *,
    sample_rate: int,
    segment: float = 5.0,
    overlap: float = 0.5,
) -> Tensor:
    """Scale-invariant signal-to-noise ratio, dB, mean over items, channels and segments.

    Higher is better; AudioCraft reports the negative under this name, as `SISNRLoss` does.

    Args:
        estimate: float [B, C, T].
        reference: float [B, C, T].
        sample_rate: Hz.
        segment: seconds per segment; the last ones are filled up with zeros.
        overlap: share of a segment covered by the next one as well, in [0, 1).
    """
    _check_pair(estimate, reference)
    _check_segment(segment, overlap)
    length = int(segment * sample_rate)
    stride = int(length * (1 - overlap))
    if stride < 1:
        raise ValueError(
            f"segments of {length} samples cannot overlap by {overlap}: make them longer"
        )
    est = _frames(estimate.float(), length, stride)
    ref = _frames(reference.float(), length, stride)
    eps = torch.finfo(torch.float32).eps * length
    scale = (est * ref).sum(dim=-1, keepdim=True) / (ref.square().sum(dim=-1, keepdim=True) + eps)
    signal = scale * ref
    noise = est - signal
    ratio = (signal.square().sum(dim=-1) + eps).log10() - (noise.square().sum(-1) + eps).log10()
    return 10 * ratio.mean()


def _frames(waveform: Tensor, length: int, stride: int) -> Tensor:
    """Cut [B, C, T] into zero-mean frames [B, C, F, length]."""
    samples = waveform.shape[-1]
    count = math.ceil(samples / stride)
    padded = F.pad(waveform, (0, (count - 1) * stride + length - samples))
    frames = padded.unfold(-1, length, stride)
    return frames - frames.mean(dim=-1, keepdim=True)


def _check_segment(segment: float, overlap: float) -> None:
    if not (0 < segment < math.inf and 0 <= overlap < 1):
        raise ValueError(f"expected segment > 0 and overlap in [0, 1), got {segment}, {overlap}")


def _check_pair(estimate: Tensor, reference: Tensor) -> None:
    if estimate.shape != reference.shape or estimate.ndim != 3:
        raise ValueError(
            "expected two waveforms [B, C, T] of one shape, "
            f"got {list(estimate.shape)} and {list(reference.shape)}"
        )
