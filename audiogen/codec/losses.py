"""What a codec is trained on: waveform and mel distances, adversarial and feature matching losses.

Waveforms are float [B, C, T] in [-1, 1]; the estimate comes first, the reference second. Losses
are float32 scalars. Source: EnCodec (arXiv:2210.13438), section 3.4.
"""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from audiogen.codec.conv import pad_reflect


def hinge_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """Mean over the discriminators of -mean(logits): low where they take the sound for real."""
    return torch.stack([-logits.mean() for logits in fake_logits]).mean()


def hinge_discriminator_loss(
    real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]
) -> Tensor:
    """Mean over the discriminators of relu(1 - real) + relu(1 + fake); 2 is chance."""
    pairs = zip(real_logits, fake_logits, strict=True)
    losses = [F.relu(1 - real).mean() + F.relu(1 + fake).mean() for real, fake in pairs]
    return torch.stack(losses).mean()


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]], real_features: Sequence[Sequence[Tensor]]
) -> Tensor:
    """L1 between feature maps: mean over the maps of a discriminator, then over discriminators."""
    losses = []
    for fake, real in zip(fake_features, real_features, strict=True):
        distances = [F.l1_loss(f, r) for f, r in zip(fake, real, strict=True)]
        losses.append(torch.stack(distances).mean())
    return torch.stack(losses).mean()


def level_pair(
    estimate: Tensor, reference: Tensor, *, min_rms: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Scale both by the gain that gives each reference item an RMS of 1.

    Quiet items then weigh as much as loud ones; below ``min_rms`` the gain grows no further.
    """
    rms = reference.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=min_rms)
    return estimate / rms, reference / rms


class MelSpectrogram(nn.Module):
    """Mel bands of |STFT| ** power, of ceil(T / hop) frames; hop is a quarter of the window.

    Periodic Hann window, normalized by its energy; HTK mel scale, triangles of height one.
    """

    window: Tensor
    bands: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        num_mels: int,
        f_min: float,
        f_max: float | None,
        power: float,
    ) -> None:
        super().__init__()
        top = sample_rate / 2 if f_max is None else f_max
        if n_fft < 4 or num_mels < 1 or not 0 <= f_min < top <= sample_rate / 2:
            raise ValueError(
                "expected n_fft >= 4, num_mels >= 1 and 0 <= f_min < f_max <= sample_rate / 2; "
                f"got n_fft {n_fft}, num_mels {num_mels}, f_min {f_min}, f_max {top}"
            )
        self.n_fft = n_fft
        self.hop_length = n_fft // 4
        self.power = power
        window = torch.hann_window(n_fft)
        with warnings.catch_warnings():
            # Narrow bands between two bins of a short FFT stay empty: a constant, without gradient.
            warnings.filterwarnings("ignore", message="At least one mel filterbank")
            bands = melscale_fbanks(n_fft // 2 + 1, f_min, top, num_mels, sample_rate)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.register_buffer("bands", bands.t().contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map float [B, C, T] to [B, C, M, ceil(T / hop)]."""
        batch, channels, samples = waveform.shape
        side = (self.n_fft - self.hop_length) // 2
        padded = pad_reflect(waveform.reshape(batch * channels, 1, samples), left=side, right=side)
        padded = F.pad(padded[:, 0], (0, -samples % self.hop_length))
        spectrum = torch.stft(
            padded,
            self.n_fft,
            self.hop_length,
            window=self.window,
            center=False,
            return_complex=True,
        )
        if self.power == 2:
            strength = torch.view_as_real(spectrum).square().sum(dim=-1)
        else:
            strength = spectrum.abs().pow(self.power)
        return (self.bands @ strength).unflatten(0, (batch, channels))


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

    The result is divided by the sum of the weights and averaged over the resolutions. The defaults
    are those of EnCodec's published training for sound effects.
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
    ) -> None:
        super().__init__()
        bands = [num_mels] * len(n_ffts) if isinstance(num_mels, int) else list(num_mels)
        if not n_ffts or len(bands) != len(n_ffts):
            raise ValueError(
                f"expected one num_mels per window length, got {len(bands)} for {list(n_ffts)}"
            )
        weights = (linear_l1, log_l1, log_l2, convergence)
        if min(weights) < 0 or sum(weights) == 0:
            raise ValueError(f"weights must be non-negative and not all zero, got {weights}")
        if eps <= 0 or power <= 0:
            raise ValueError(f"eps and power must be positive, got {eps} and {power}")
        self.eps = eps
        self.linear_l1 = linear_l1
        self.log_l1 = log_l1
        self.log_l2 = log_l2
        self.convergence = convergence
        self.spectrograms = nn.ModuleList(
            MelSpectrogram(
                sample_rate=sample_rate,
                n_fft=n_fft,
                num_mels=count,
                f_min=f_min,
                f_max=f_max,
                power=power,
            )
            for n_fft, count in zip(n_ffts, bands, strict=True)
        )

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Distance of float [B, C, T] and [B, C, T]."""
        _check_pair(estimate, reference)
        with torch.autocast(estimate.device.type, enabled=False):
            pair = torch.cat([estimate.float(), reference.float()])  # one STFT for both
            terms = [self._distance(*mel(pair).chunk(2)) for mel in self.spectrograms]
        weights = self.linear_l1 + self.log_l1 + self.log_l2 + self.convergence
        return torch.stack(terms).mean() / weights

    def _distance(self, estimate: Tensor, reference: Tensor) -> Tensor:
        terms = []
        if self.linear_l1:
            terms.append(self.linear_l1 * F.l1_loss(estimate, reference))
        if self.log_l1 or self.log_l2:
            log_estimate = (estimate + self.eps).log10()
            log_reference = (reference + self.eps).log10()
        if self.log_l1:
            terms.append(self.log_l1 * F.l1_loss(log_estimate, log_reference))
        if self.log_l2:
            terms.append(self.log_l2 * F.mse_loss(log_estimate, log_reference))
        if self.convergence:
            error = (estimate - reference).flatten(1).norm(dim=1)
            size = reference.flatten(1).norm(dim=1).clamp(min=self.eps)
            terms.append(self.convergence * (error / size).mean())
        return torch.stack(terms).sum()


def si_snr(
    estimate: Tensor,
    reference: Tensor,
    *,
    sample_rate: int,
    segment: float = 5.0,
    overlap: float = 0.5,
) -> Tensor:
    """Scale-invariant signal-to-noise ratio, dB, mean over items, channels and segments.

    Higher is better; a loss is its negative, which is what AudioCraft reports under this name.

    Args:
        estimate: float [B, C, T].
        reference: float [B, C, T].
        sample_rate: Hz.
        segment: seconds per segment; the last ones are filled up with zeros.
        overlap: share of a segment covered by the next one as well, in [0, 1).
    """
    _check_pair(estimate, reference)
    if segment <= 0 or not 0 <= overlap < 1:
        raise ValueError(f"expected segment > 0 and overlap in [0, 1), got {segment}, {overlap}")
    length = int(segment * sample_rate)
    stride = int(length * (1 - overlap))
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


def _check_pair(estimate: Tensor, reference: Tensor) -> None:
    if estimate.shape != reference.shape or estimate.ndim != 3:
        raise ValueError(
            "expected two waveforms [B, C, T] of one shape, "
            f"got {list(estimate.shape)} and {list(reference.shape)}"
        )
