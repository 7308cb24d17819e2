"""Mel spectrograms of waveforms, as the losses of a codec compare them."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from audiogen.codec.conv import pad_reflect


class MelSpectrogram(nn.Module):
    """Mel bands of |STFT| ** power, of ceil(T / hop) frames; hop is a quarter of the window.

    Periodic Hann window; HTK mel scale, triangles of height one. ``normalized`` divides the
    spectrum by the root of the window's energy. Float32, also inside an autocast region.
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
        normalized: bool = True,
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
        if normalized:
            window = window / window.square().sum().sqrt()
        with warnings.catch_warnings():
            # Narrow bands between two bins of a short FFT stay empty: a constant, without gradient.
            warnings.filterwarnings("ignore", message="At least one mel filterbank")
            bands = melscale_fbanks(n_fft // 2 + 1, f_min, top, num_mels, sample_rate)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bands", bands.t().contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map float [B, C, T] to [B, C, M, ceil(T / hop)]."""
        batch, channels, samples = waveform.shape
        with torch.autocast(waveform.device.type, enabled=False):
            mel = self._spectrum(waveform.float().reshape(batch * channels, 1, samples))
        return mel.unflatten(0, (batch, channels))

    def _spectrum(self, waveform: Tensor) -> Tensor:
        side = (self.n_fft - self.hop_length) // 2
        padded = pad_reflect(waveform, left=side, right=side)
        padded = F.pad(padded[:, 0], (0, -waveform.shape[-1] % self.hop_length))
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
        return self.bands @ strength
