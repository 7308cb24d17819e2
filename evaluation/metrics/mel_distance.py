"""Mel distances of round trips as streams: the metrics of the training loop."""

from collections.abc import Sequence

from torch import Tensor

from evaluation.metrics.item_mean import ItemMean
from evaluation.metrics.spectral import N_FFTS, mel_distance, multi_scale_mel

__all__ = ["MelDistance", "MultiScaleMel", "mel_distance", "multi_scale_mel"]


class MelDistance(ItemMean):
    """Mean of `mel_distance` over items, at one sample rate in Hz."""

    higher_is_better = False

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int = 1024,
        hop: int = 256,
        num_mels: int = 64,
        f_min: float = 64.0,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop = hop
        self.num_mels = num_mels
        self.f_min = f_min

    def update(self, reference: Tensor, generated: Tensor) -> None:
        """Add pairs of float [B, T] or [B, C, T] waveforms."""
        values = mel_distance(
            reference,
            generated,
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop=self.hop,
            num_mels=self.num_mels,
            f_min=self.f_min,
        )
        self.add(values)


class MultiScaleMel(ItemMean):
    """Mean of `multi_scale_mel` over items, at one sample rate in Hz."""

    higher_is_better = False

    def __init__(
        self,
        *,
        sample_rate: int,
        n_ffts: Sequence[int] = N_FFTS,
        num_mels: int = 64,
        f_min: float = 64.0,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.n_ffts = tuple(n_ffts)
        self.num_mels = num_mels
        self.f_min = f_min

    def update(self, reference: Tensor, generated: Tensor) -> None:
        """Add pairs of float [B, T] or [B, C, T] waveforms."""
        values = multi_scale_mel(
            reference,
            generated,
            sample_rate=self.sample_rate,
            n_ffts=self.n_ffts,
            num_mels=self.num_mels,
            f_min=self.f_min,
        )
        self.add(values)
