"""Scale-invariant distortion of round trips as a stream: the metric of the training loop."""

from torch import Tensor

from evaluation.metrics.distortion import si_sdr, si_snr_audiocraft, si_snr_segments
from evaluation.metrics.item_mean import ItemMean

__all__ = ["SISDR", "si_sdr", "si_snr_audiocraft", "si_snr_segments"]


class SISDR(ItemMean):
    """Mean SI-SDR over items in dB; `ItemMean` says how silent and perfect ones count."""

    higher_is_better = True

    def __init__(self, *, zero_mean: bool = True) -> None:
        super().__init__()
        self.zero_mean = zero_mean

    def update(self, reference: Tensor, generated: Tensor) -> None:
        """Add pairs of float [B, T] or [B, C, T] waveforms."""
        self.add(si_sdr(reference, generated, zero_mean=self.zero_mean))
