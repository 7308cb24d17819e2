"""What PaSST sees: log-mel spectrograms at 32 kHz, and how a sound is cut for it.

The front end of hear21passt in evaluation mode, number for number, without the two draws from the
global random stream and the new filter bank it makes at every call.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.compliance.kaldi import get_mel_banks

SAMPLE_RATE = 32000
WINDOW, HOP, FFT = 800, 320, 1024  # samples
BANDS, LOW, HIGH = 128, 0.0, 15000.0  # Hz
PREEMPHASIS = 0.97
FLOOR = 1e-5  # added to the power of a band before its logarithm
MIDDLE, SPREAD = -4.5, 5.0  # what the network was trained to see as 0 and 1
SHORTEST = 4801  # samples that give 16 frames, the height of a patch
RULES = ("split", "cut_or_pad", "overlap")
UNPADDED = 1.5  # seconds up to which "overlap" leaves a sound as short as it is


def log_mel(waveform: Tensor) -> Tensor:
    """Map float [..., T], mono at 32 kHz, to float32 [..., 128, 1 + (T - 1) // 320 or less by one].

    Raises:
        ValueError: if there is less sound than the network can look at, or a value is not finite.
    """
    samples = waveform.shape[-1]
    if samples < SHORTEST:
        raise ValueError(
            f"PaSST needs more than 0.15 s of sound, got {samples / SAMPLE_RATE:.4f} s: leave "
            "the sound out, or pad it in the protocol (`exactly`, `at_least`)"
        )
    if not waveform.isfinite().all():
        raise ValueError("the sound has samples that are not finite: look at its file")
    waveform = waveform.detach().float()
    waveform = waveform[..., 1:] - PREEMPHASIS * waveform[..., :-1]
    if waveform.numel() == 0:  # of no sounds
        return torch.empty(*waveform.shape[:-1], BANDS, 1 + (samples - 1) // HOP)
    spectrum = torch.stft(
        waveform.reshape(-1, samples - 1),
        FFT,
        hop_length=HOP,
        win_length=WINDOW,
        window=hann().to(waveform.device),
        center=True,
        return_complex=True,
    )
    power = torch.view_as_real(spectrum).square().sum(dim=-1)
    mel = ((mel_bank().to(waveform.device) @ power + FLOOR).log() - MIDDLE) / SPREAD
    return mel.reshape(*waveform.shape[:-1], *mel.shape[1:])


@cache
def hann() -> Tensor:
    """Return the symmetric Hann window, float32 [800]."""
    return torch.hann_window(WINDOW, periodic=False)


@cache
def mel_bank() -> Tensor:
    """Return Kaldi's mel filters, float32 [128, 513]; they are deaf to the highest frequency."""
    bank, _ = get_mel_banks(
        BANDS, FFT, float(SAMPLE_RATE), LOW, HIGH, vtln_low=100.0, vtln_high=-500.0,
        vtln_warp_factor=1.0,
    )  # fmt: skip
    return pad(bank, (0, 1))


def cut(waveform: Tensor, *, rule: str, seconds: int, min_segment: float = 0.15) -> list[Tensor]:
    """Cut a sound into the pieces that each become one row.

    Args:
        waveform: float [T], mono at 32 kHz.
        rule: "split" side by side, leaving out a piece of ``min_segment`` or less and padding
            none (AudioCraft); "cut_or_pad" to one piece, with zeros behind a shorter sound;
            "overlap" by half, with zeros behind the last one (stable-audio-metrics; a sound of
            1.5 s or less stays as short as it is).
        seconds: length of a piece.
        min_segment: seconds, of "split" alone.

    Returns:
        float [t] each; none if "split" leaves all out.
    """
    length = seconds * SAMPLE_RATE
    if rule == "cut_or_pad":
        return [pad(waveform[:length], (0, max(0, length - len(waveform))))]
    if rule == "split":
        return [part for part in waveform.split(length) if len(part) > min_segment * SAMPLE_RATE]
    hop = length // 2
    starts = range(0, max(hop, len(waveform) - hop), hop)
    parts = [waveform[start : start + length] for start in starts]
    return [
        part if len(part) <= UNPADDED * SAMPLE_RATE else pad(part, (0, length - len(part)))
        for part in parts
    ]
