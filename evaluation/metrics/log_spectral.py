"""Log-spectral distance of round trips as a stream: the metric of the training loop."""

from torch import Tensor

from evaluation.metrics.item_mean import ItemMean
from evaluation.metrics.spectral import log_spectral_distance

__all__ = ["LogSpectralDistance", "log_spectral_distance"]


class LogSpectralDistance(ItemMean):
    """Mean of `log_spectral_distance` over items, in dB."""

    higher_is_better = False

    def __init__(self, *, n_fft: int = 2048, hop: int = 512, floor: float = -100.0) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop = hop
        self.floor = floor

    def update(self, reference: Tensor, generated: Tensor) -> None:
        """Add pairs of float [B, T] or [B, C, T] waveforms."""
        values = log_spectral_distance(
            reference, generated, n_fft=self.n_fft, hop=self.hop, floor=self.floor
        )
        self.add(values)
