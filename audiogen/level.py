"""How loud a sound is, and the ways to set it before it is written.

A strategy is one of

* "peak": the largest sample comes to -1 dB of full scale;
* "clip": what is beyond -1 dB is cut off, the rest stays as it is;
* "rms": the mean over channels comes to -18 dB, then what is beyond full scale is cut off;
* "loudness": the integrated loudness (ITU-R BS.1770-4) comes to -14 LUFS, then the same;
* "none": nothing.

Keywords and numbers are those of AudioCraft's ``audio_write``. Where that fails, this is defined:
silence stays silence, channels that cancel out are measured apart, a sound shorter than a block of
0.4 s is one block, and a sound whose loudness lies below the gate is left as it is.
"""

import math
from typing import Literal, TypedDict, Unpack, get_args

import torch
from torch import Tensor
from torchaudio.functional import highpass_biquad, treble_biquad

Strategy = Literal["peak", "clip", "rms", "loudness", "none"]

# BS.1770-4 as the biquads of any sample rate: the head's shelf, then the low cut.
SHELF_GAIN, SHELF_HZ, SHELF_Q = 4.0, 1500.0, 1 / math.sqrt(2)
LOW_CUT_HZ, LOW_CUT_Q = 38.0, 0.5
CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, center, surround left and right
BLOCK = 0.4  # seconds
STEP = 0.25  # of a block
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the mean of what passed the absolute gate
QUIET = 2e-3  # RMS below which AudioCraft takes a sound for noise and leaves it as it is
LIMIT_STEPS = 12
CLOSE = 0.05  # LU
NOTHING = 1e-30  # full scale over less is beyond float32
CANCEL = 0.01  # of the RMS of the channels: a mean over them below this, -40 dB, has lost the sound


class LevelOptions(TypedDict, total=False):
    """Keywords of `set_level`; decibels are positive, below full scale.

    normalize: for "peak" and "rms": also turn up (True); False turns down only.
    peak_clip_headroom_db: of "peak" and "clip" (1).
    rms_headroom_db: of "rms" (18).
    loudness_headroom_db: of "loudness" (14).
    loudness_compressor: with "loudness": bend what is loud by tanh instead of cutting it off; a
        noise ends 0.2 dB softer (False).
    paper_exact: see `loudness` (False).
    """

    normalize: bool
    peak_clip_headroom_db: float
    rms_headroom_db: float
    loudness_headroom_db: float
    loudness_compressor: bool
    paper_exact: bool


def set_level(
    waveform: Tensor, sample_rate: int, *, strategy: Strategy, **options: Unpack[LevelOptions]
) -> Tensor:
    """Return float32 [C, T] at another level; see the strategies above.

    Args:
        waveform: float [C, T] or [T], finite.
        sample_rate: Hz.
        strategy: which way.
        options: see `LevelOptions`.

    Raises:
        ValueError: for an unknown strategy, or what is no sound.
        TypeError: for a keyword that is not one of `LevelOptions`.
    """
    unknown = [name for name in options if name not in LevelOptions.__annotations__]
    if unknown:
        known = ", ".join(LevelOptions.__annotations__)
        raise TypeError(
            f"unknown option {unknown[0]!r}: the way is chosen by strategy, "
            f"and how it goes by {known}"
        )
    if strategy not in get_args(Strategy):
        raise ValueError(
            f"strategy must be one of {', '.join(get_args(Strategy))}, got {strategy!r}"
        )
    waveform = _checked(waveform)
    ceiling = _amplitude(options.get("peak_clip_headroom_db", 1.0))
    if strategy == "clip":
        return waveform.clamp(-ceiling, ceiling)
    if strategy == "peak":
        return _turned(waveform, ceiling, waveform.abs().max().item(), options)
    if strategy == "rms":
        target = _amplitude(options.get("rms_headroom_db", 18.0))
        return _turned(waveform, target, _rms(waveform), options).clamp(-1, 1)
    if strategy == "loudness":
        return _as_loud(waveform, sample_rate, options).clamp(-1, 1)
    return waveform


def loudness(waveform: Tensor, sample_rate: int, *, paper_exact: bool = False) -> float:
    """Integrated loudness in LUFS: gated, of blocks of 0.4 s that overlap by three quarters.

    Args:
        waveform: float [C, T] or [T] of up to 5 channels in the order L, R, C, Ls, Rs.
        sample_rate: Hz.
        paper_exact: cuts the filtered sound off at full scale as torchaudio does, and so hears
            sounds near full scale too soft (0.4 dB at twice full scale).

    Returns:
        ``-inf`` where every block is below -70 LUFS, as in silence.

    Raises:
        ValueError: for what is no sound, or more channels, whose places nobody knows.

    Source: ITU-R BS.1770-4, annex 1; filters for any rate as in torchaudio.
    """
    waveform = _checked(waveform)
    if sample_rate < 2 * SHELF_HZ:
        raise ValueError(f"loudness needs a rate of {2 * SHELF_HZ:g} Hz or more, got {sample_rate}")
    if len(waveform) > len(CHANNEL_WEIGHTS):
        raise ValueError(
            f"loudness knows up to {len(CHANNEL_WEIGHTS)} channels, got {len(waveform)}: "
            "mix down first"
        )
    # The filters are linear and powers of two exact: turned down, nothing is cut off.
    scaled, scale = (waveform, 1.0) if paper_exact else _within_full_scale(waveform)
    powers = _block_powers(_k_weighted(scaled, sample_rate), sample_rate)
    offset = 20 * math.log10(scale)
    heard = powers[_lufs(powers) + offset > ABSOLUTE_GATE]
    if not heard.numel():
        return -math.inf
    heard = heard[_lufs(heard) > _lufs(heard.mean()) + RELATIVE_GATE]
    return float(_lufs(heard.mean())) + offset


def to_loudness(waveform: Tensor, sample_rate: int, lufs: float) -> Tensor:
    """Return float32 [C, T] within full scale whose integrated loudness is ``lufs``, to 0.1 LU.

    It is turned up or down. Only where its peaks would then pass full scale are they bent by tanh,
    and what that takes of the loudness is given back, as far as `LIMIT_STEPS` steps bring it: a
    click never gets loud. A sound that nobody hears is left as it is.

    Args:
        waveform: float [C, T] or [T], finite.
        sample_rate: Hz.
        lufs: -70 to 0.

    Raises:
        ValueError: as `loudness` does, and for another target.
    """
    if not ABSOLUTE_GATE <= lufs <= 0:
        raise ValueError(f"loudness must be {ABSOLUTE_GATE:g} to 0 LUFS, got {lufs:g}")
    waveform = _checked(waveform)
    found = loudness(waveform, sample_rate)
    if found == -math.inf:
        return waveform.clamp(-1, 1)
    gain = lufs - found
    turned = waveform * 10 ** (gain / 20)
    if turned.abs().max() <= 1:
        return turned
    for _ in range(LIMIT_STEPS):
        turned = (waveform * 10 ** (gain / 20)).tanh()
        missing = lufs - loudness(turned, sample_rate)
        if missing < CLOSE:
            break
        gain += missing
    return turned


def to_int16(waveform: Tensor, *, paper_exact: bool = False) -> Tensor:
    """Turn samples within full scale into int16 steps of 2**-15, the nearest.

    ``paper_exact`` takes the step toward zero and never -2**15, as AudioCraft's ``i16_pcm``.
    """
    steps = waveform.float() * 2**15
    if paper_exact:
        return steps.trunc().clamp(1 - 2**15, 2**15 - 1).to(torch.int16)
    return steps.round().clamp(-(2**15), 2**15 - 1).to(torch.int16)


def from_int16(samples: Tensor) -> Tensor:
    """Turn int16 into float32 with full scale at 1, exactly."""
    return samples.float() / 2**15


def _checked(waveform: Tensor) -> Tensor:
    """The sound as float32 [C, T]."""
    if not waveform.is_floating_point() or waveform.ndim not in (1, 2) or not waveform.numel():
        raise ValueError(
            f"expected float samples [C, T] or [T], got {waveform.dtype} {list(waveform.shape)}"
        )
    if not waveform.isfinite().all():
        bad = int((~waveform.isfinite()).sum())
        raise ValueError(f"{bad} of {waveform.numel()} samples are NaN or infinite")
    return torch.atleast_2d(waveform.float())


def _within_full_scale(waveform: Tensor) -> tuple[Tensor, float]:
    """The sound over a power of two, which loses nothing, and that power; its peak is about 0.1."""
    exponent = 3 + math.frexp(waveform.abs().max().item())[1]
    half = 2.0 ** (exponent // 2)  # in two steps: the whole may be beyond float32
    rest = 2.0 ** (exponent - exponent // 2)
    return waveform / half / rest, half * rest


def _amplitude(headroom: float) -> float:
    return float(10 ** (-headroom / 20))


def _turned(waveform: Tensor, target: float, found: float, options: LevelOptions) -> Tensor:
    """The sound with its measure ``found`` brought to ``target``."""
    if found < NOTHING or (found <= target and not options.get("normalize", True)):
        return waveform
    return waveform * (target / found)


def _rms(waveform: Tensor) -> float:
    """Of the mean over channels; of the channels where it has lost the sound."""
    scaled, scale = _within_full_scale(waveform)
    mixed = scaled.mean(dim=0).square().mean().sqrt().item() * scale
    apart = scaled.square().mean().sqrt().item() * scale
    return mixed if mixed > CANCEL * apart else apart


def _as_loud(waveform: Tensor, sample_rate: int, options: LevelOptions) -> Tensor:
    scaled, scale = _within_full_scale(waveform)
    if scaled.square().mean().sqrt().item() * scale < QUIET:
        return waveform
    found = loudness(waveform, sample_rate, paper_exact=options.get("paper_exact", False))
    if found == -math.inf:  # there is sound, but none that is heard, as below 20 Hz
        return waveform
    gain = 10 ** ((-options.get("loudness_headroom_db", 14.0) - found) / 20)
    waveform = waveform * gain
    return waveform.tanh() if options.get("loudness_compressor", False) else waveform


def _k_weighted(waveform: Tensor, sample_rate: int) -> Tensor:
    """Filter float32 [C, T] as head and ear do; torchaudio cuts the result off at full scale."""
    shelved = treble_biquad(waveform, sample_rate, SHELF_GAIN, SHELF_HZ, SHELF_Q)
    return highpass_biquad(shelved, sample_rate, LOW_CUT_HZ, LOW_CUT_Q)


def _block_powers(filtered: Tensor, sample_rate: int) -> Tensor:
    """Weighted sum over channels of the mean square of each block [n]."""
    size = min(round(BLOCK * sample_rate), filtered.shape[1])
    step = max(1, round(BLOCK * sample_rate * STEP))
    weights = filtered.new(CHANNEL_WEIGHTS[: len(filtered)])
    return weights @ filtered.square().unfold(-1, size, step).mean(dim=-1)


def _lufs(power: Tensor) -> Tensor:
    return -0.691 + 10 * power.log10()
