"""How loud a generated sound is beside its reference."""

import torch
from torch import Tensor


def level_difference(reference: Tensor, generated: Tensor) -> Tensor:
    """Ratio of root mean squares, generated over reference, in dB.

    Args:
        reference: float [T], mono, full scale 1, any rate.
        generated: float [T'], likewise; the length may differ.

    Returns:
        float64 scalar; NaN if either is digital silence, which has no level in dB.

    >>> float(level_difference(torch.ones(8), 10 * torch.ones(5)))
    20.0
    """
    if reference.ndim != 1 or generated.ndim != 1:
        raise ValueError(
            f"expected two mono waveforms [T], got {list(reference.shape)} and "
            f"{list(generated.shape)}"
        )
    power_reference = reference.double().square().mean()
    power_generated = generated.double().square().mean()
    ratio = 10 * torch.log10(power_generated / power_reference)
    return torch.where(ratio.isfinite(), ratio, torch.nan)
