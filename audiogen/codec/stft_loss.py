"""Distance of magnitude spectrograms at several resolutions.

Source: Parallel WaveGAN (arXiv:1910.11480), section 2.2 and table 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_POWER = 1e-7  # below it the gradient of a magnitude grows without limit


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence and L1 of log magnitudes, means over the resolutions.

    AudioCraft's ``mrstft``, one of the losses an objective may name.

    Args:
        n_ffts, hop_lengths, win_lengths: in samples, one per resolution; periodic Hann windows,
            centered in an n_fft, the signal reflected at its ends.
        convergence: weight of |difference| / |reference|, Frobenius norms over the whole batch.
        log_l1: weight of the mean absolute difference of natural logarithms.
    """

    def __init__(
        self,
        *,
        n_ffts: Sequence[int] = (1024, 2048, 512),
        hop_lengths: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        convergence: float = 0.1,
        log_l1: float = 0.1,
    ) -> None:
        super().__init__()
        if not len(n_ffts) == len(hop_lengths) == len(win_lengths) > 0:
            raise ValueError(
                "expected one n_fft, hop_length and win_length per resolution, got "
                f"{len(n_ffts)}, {len(hop_lengths)} and {len(win_lengths)}"
            )
        if min(convergence, log_l1) < 0 or convergence + log_l1 == 0:
            raise ValueError(
                f"weights must be non-negative and not all zero, got {convergence}, {log_l1}"
            )
        self.resolutions = list(zip(n_ffts, hop_lengths, win_lengths, strict=True))
        self.convergence = convergence
        self.log_l1 = log_l1
        for i, length in enumerate(win_lengths):
            self.register_buffer(f"window_{i}", torch.hann_window(length), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Distance of float [B, C, T] and [B, C, T]; T above half of the largest n_fft."""
        samples = estimate.shape[-1]
        longest = max(n_fft for n_fft, _, _ in self.resolutions)
        if estimate.ndim != 3 or estimate.shape != reference.shape or samples <= longest // 2:
            raise ValueError(
                f"expected two waveforms [B, C, T] of one shape and more than {longest // 2} "
                f"samples, got {list(estimate.shape)} and {list(reference.shape)}"
            )
        with torch.autocast(estimate.device.type, enabled=False):
            pair = torch.cat([estimate, reference]).float().reshape(-1, samples)
            terms = [self._distance(pair, i) for i in range(len(self.resolutions))]
        return torch.stack(terms).mean()

    def _distance(self, pair: Tensor, i: int) -> Tensor:
        n_fft, hop_length, win_length = self.resolutions[i]
        window = self.get_buffer(f"window_{i}")
        spectrum = torch.stft(
            pair, n_fft, hop_length, win_length, window=window, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        estimate, reference = power.clamp(min=SMALLEST_POWER).sqrt().chunk(2)
        eps = torch.finfo(torch.float32).eps
        convergence = (reference - estimate).norm() / reference.norm()
        log_l1 = F.l1_loss((eps + estimate).log(), (eps + reference).log())
        return self.convergence * convergence + self.log_l1 * log_l1
