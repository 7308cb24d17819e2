"""How far a quicker codec is from the exact one."""

from torch import Tensor


def sound_errors(sound: Tensor, exact: Tensor) -> dict[str, float]:
    """Errors of a waveform: the largest over the standard deviation of the exact one; SNR in dB.

    The ratio of exact signal to error is infinite where they are equal.
    """
    error = sound - exact
    energy = error.square().sum()
    return {
        "largest_error": (error.abs().max() / exact.std()).item(),
        "snr_db": (10 * (exact.square().sum() / energy).log10()).item(),
    }


def code_errors(codes: Tensor, exact: Tensor) -> dict[str, float]:
    """Share of codes int64 [B, K, T] that changed, of the first codebook and of all.

    One changed code changes what the later codebooks of its frame have to say.
    """
    changed = (codes != exact).float()
    return {
        "changed_first": changed[:, 0].mean().item(),
        "changed_all": changed.mean().item(),
    }
