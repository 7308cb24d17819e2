"""Whether a round trip is in step with its original: a check before ratios of waveforms."""

import torch
from torch import Tensor


def best_lag(reference: Tensor, generated: Tensor, *, max_lag: int) -> tuple[int, float, float]:
    """Find the shift at which two sounds are most alike, in either polarity.

    Args:
        reference: float [T].
        generated: float [T], of the same length.
        max_lag: the largest shift to try, in samples, either way.

    Returns:
        the shift in samples, positive where ``generated`` is late; the correlation there; and the
        correlation without a shift. Correlations are in [-1, 1], NaN if a side is silent.

    >>> best_lag(torch.tensor([0.0, 3.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 3.0, 1.0]), max_lag=2)
    (1, 1.0, 0.3)
    """
    if reference.ndim != 1 or reference.shape != generated.shape or len(reference) == 0:
        raise ValueError(
            f"expected two mono waveforms [T] of one length, got {list(reference.shape)} and "
            f"{list(generated.shape)}"
        )
    reference, generated = reference.double(), generated.double()
    norm = reference.norm() * generated.norm()
    if norm == 0:
        return 0, torch.nan, torch.nan
    max_lag = min(max_lag, len(reference) - 1)
    size = 1 << (len(reference) + max_lag).bit_length()
    spectra = torch.fft.rfft(reference, size).conj() * torch.fft.rfft(generated, size)
    circular = torch.fft.irfft(spectra, size) / norm
    late, early = circular[: max_lag + 1], circular[size - max_lag :]
    correlations = torch.cat([late, early])  # 0, 1, ..., max_lag, -max_lag, ..., -1
    index = int(correlations.abs().argmax())
    lag = index if index <= max_lag else index - len(correlations)
    return lag, round(float(correlations[index]), 12), round(float(correlations[0]), 12)
