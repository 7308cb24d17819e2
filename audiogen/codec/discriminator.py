"""Multi-scale STFT discriminator: judges complex spectrograms at several resolutions.

Source: EnCodec (arXiv:2210.13438), section 3.4 and figure 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

LEAK = 0.3  # slope of the leaky ReLU below zero


def _spread_conv(width: int, dilation: int) -> nn.Conv2d:
    """Halve the frequencies and compare frames that are ``dilation`` apart."""
    return nn.Conv2d(
        width,
        width,
        (3, 9),
        stride=(1, 2),
        dilation=(dilation, 1),
        padding=(dilation, 4),
    )


class STFTDiscriminator(nn.Module):
    """One resolution: convolutions over (time, frequency) of the real and imaginary parts.

    The first convolution has no weight norm; the three after it halve the frequencies and look
    1, 2 and 4 frames apart.
    """

    window: Tensor

    def __init__(
        self, *, channels: int, num_filters: int, n_fft: int, hop_length: int, win_length: int
    ) -> None:
        super().__init__()
        if not 0 < hop_length <= win_length <= n_fft:
            raise ValueError(
                "expected 0 < hop_length <= win_length <= n_fft, "
                f"got {hop_length}, {win_length}, {n_fft}"
            )
        if channels < 1 or num_filters < 1:
            raise ValueError(
                f"channels and num_filters must be at least 1, got {channels} and {num_filters}"
            )
        self.channels = channels
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.register_buffer("window", torch.hann_window(win_length))
        width = num_filters
        convs = [
            nn.Conv2d(2 * channels, width, (3, 9), padding=(1, 4)),
            *(_spread_conv(width, dilation) for dilation in (1, 2, 4)),
            nn.Conv2d(width, width, (3, 3), padding=(1, 1)),
        ]
        for conv in convs[1:]:
            weight_norm(conv)
        self.convs = nn.ModuleList(convs)
        self.conv_post = weight_norm(nn.Conv2d(width, 1, (3, 3), padding=(1, 1)))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Map float [B, C, T] to float32 [B, 2 C, frames, frequencies], the real parts first.

        An autocast region does not reach it: sixteen bits would drown quiet frequencies.
        """
        batch, channels, samples = waveform.shape
        if channels != self.channels:
            raise ValueError(
                f"this discriminator judges {self.channels} channel(s), got {channels}: build it "
                "with the channels of the codec"
            )
        if samples < self.n_fft:
            raise ValueError(
                f"this discriminator needs at least {self.n_fft} samples, got {samples}: "
                "train on longer segments or choose smaller n_ffts"
            )
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.reshape(batch * channels, samples).float(),
                self.n_fft,
                self.hop_length,
                self.win_length,
                window=self.window,
                center=False,
                return_complex=True,
            )
            spectrum = spectrum / self.window.square().sum().sqrt()
        parts = torch.view_as_real(spectrum).unflatten(0, (batch, channels))
        return parts.permute(0, 4, 1, 3, 2).flatten(1, 2)  # [B, 2, C, frames, frequencies]

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map float [B, C, T] to logits [B, 1, frames, frequencies'] and the feature maps."""
        # The layout that convolutions are fastest in; activations then follow it.
        x = self.spectrogram(waveform).contiguous(memory_format=torch.channels_last)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(
                conv(x), LEAK, inplace=True
            )  # what a convolution gave is nobody else's
            features.append(x)
        return self.conv_post(x), features


class MultiScaleSTFTDiscriminator(nn.Module):
    """Several `STFTDiscriminator`, one per resolution.

    Args:
        channels: C of the waveform.
        num_filters: width of every convolution.
        n_ffts, hop_lengths, win_lengths: in samples, one per resolution.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        num_filters: int = 32,
        n_ffts: Sequence[int] = (1024, 2048, 512, 256, 128),
        hop_lengths: Sequence[int] = (256, 512, 128, 64, 32),
        win_lengths: Sequence[int] = (1024, 2048, 512, 256, 128),
    ) -> None:
        super().__init__()
        if not len(n_ffts) == len(hop_lengths) == len(win_lengths) > 0:
            raise ValueError(
                "expected one n_fft, hop_length and win_length per resolution, got "
                f"{len(n_ffts)}, {len(hop_lengths)} and {len(win_lengths)}"
            )
        self.discriminators = nn.ModuleList(
            STFTDiscriminator(
                channels=channels,
                num_filters=num_filters,
                n_fft=n_fft,
                hop_length=hop,
                win_length=window,
            )
            for n_fft, hop, window in zip(n_ffts, hop_lengths, win_lengths, strict=True)
        )

    def forward(self, waveform: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Map float [B, C, T] to logits and feature maps, one entry per resolution."""
        judged = [discriminator(waveform) for discriminator in self.discriminators]
        return [logits for logits, _ in judged], [features for _, features in judged]
