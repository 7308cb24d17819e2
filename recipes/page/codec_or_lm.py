"""Is it the codec or the language model? What each of them loses, class by class.

A language model speaks in the codes of its codec, so a generated sound can be no better than a
round trip of the real ones. Three measures follow every class from real clips over round trips to
generated ones; what falls at the first step the codec lost, what falls at the second the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evaluation.embedders.logmel import LogMelStatistics

CODEC, MODEL, BOTH, NEITHER, UNKNOWN = (
    "the codec",
    "the language model",
    "both",
    "neither",
    "cannot say",
)

LEAST_ACCURACY = 0.1  # lost; less is not worth a word
SIGMAS = 1.645  # one-sided 95 %: a loss within chance does not count
TRUSTED = 0.5  # accuracy on real clips, below which a probe is no witness
FEW = 5  # clips, below which nothing is
QUIET = 0.5  # RMS over that of the step before: 6 dB
LEAST_SPECTRUM = 3.0  # dB
MOSTLY = 2.0  # times the other's loss of accuracy

RULES = (
    f"Accuracy counts as lost where it falls by {LEAST_ACCURACY:g} or more and by more than chance "
    f"explains (95 %, one-sided), if the probe names at least {TRUSTED:.0%} of the real clips of "
    "the class.",
    f"Level counts as lost where the mean RMS falls below {QUIET:g} of the step before.",
    f"Spectrum counts as lost where the mean level of 16 mel bands moves by {LEAST_SPECTRUM:g} dB "
    "or more (root mean square over the bands); for the language model, whose clips are other "
    "ones, also by more than one half of the real clips is from the other half, which is chance.",
    f"With fewer than {FEW} clips of a class nothing is said.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectralLoss:
    """Distances of mean log-mel levels, dB: a stand-in, no published metric."""

    codec: float  # of round trips from real clips
    model: float  # of generated clips from round trips
    chance: float | None  # of one half of the real clips from the other; None with one clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One class along the road; None for what was not measured."""

    name: str
    n: int  # clips
    accuracy: tuple[float | None, float | None, float | None]  # real, round trip, generated
    level: tuple[float | None, float | None]  # mean RMS over that of the real: the other two
    spectrum: SpectralLoss | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Who lost what in one class."""

    measured: Measured
    who: str  # CODEC, MODEL, BOTH, NEITHER or UNKNOWN
    mostly: str | None = None  # CODEC or MODEL, where both lost and one of them far more
    codec: tuple[str, ...] = field(default=())  # what the codec lost, in words
    model: tuple[str, ...] = field(default=())  # what the language model lost, in words
    why: str | None = None  # why nothing can be said


def judge(rows: Sequence[Measured]) -> list[Verdict]:
    """Say for every class whether the codec or the language model lost it.

    >>> clear = Measured(name="bell", n=50, accuracy=(1.0, 0.9, 0.3), level=(0.9, 0.8))
    >>> [(verdict.who, verdict.model) for verdict in judge([clear])]
    [('the language model', ('accuracy 0.90 → 0.30',))]
    """
    return [_judge(row) for row in rows]


def summary(verdicts: Sequence[Verdict]) -> str:
    """Count the classes of each verdict, in words."""
    found = [verdict.who for verdict in verdicts]
    parts = [f"{who} {found.count(who)}" for who in (CODEC, MODEL, BOTH, NEITHER, UNKNOWN)]
    return ", ".join(part for part in parts if not part.endswith(" 0"))


def spectral_loss(
    real: Tensor, roundtrip: Tensor, generated: Tensor, *, sample_rate: int
) -> SpectralLoss:
    """Compare the mean log-mel levels of three sets of clips, float [B, T] each, at one rate."""
    means = [band_levels(clips, sample_rate) for clips in (real, roundtrip, generated)]
    halves = means[0][::2], means[0][1::2]
    return SpectralLoss(
        codec=_distance(means[0], means[1]),
        model=_distance(means[1], means[2]),
        chance=_distance(*halves) if len(real) > 1 else None,
    )


def band_levels(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Return the mean level of 16 mel bands of each clip of float [B, T], float64 [B, 16], dB."""
    spectra = LogMelStatistics(sample_rate=sample_rate, patch=1.0, hop=1.0)
    rows = [spectra.log_mel(waveform).double().mean(dim=0) for waveform in waveforms]
    return torch.stack(rows) * (10 / math.log(10))


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one.mean(dim=0) - other.mean(dim=0)).square().mean().sqrt())


def _judge(row: Measured) -> Verdict:
    if row.n < FEW:
        return Verdict(measured=row, who=UNKNOWN, why=f"{row.n} of {FEW} clips that it takes")
    real, roundtrip, generated = row.accuracy
    trusted = real is not None and real >= TRUSTED
    codec, model = [], []
    if trusted:
        codec += _accuracy(real, roundtrip, row.n)
        model += _accuracy(roundtrip, generated, row.n)
    codec += _level(1.0, row.level[0])
    model += _level(*row.level)
    if row.spectrum is not None:
        codec += _spectrum(row.spectrum.codec, 0.0)
        model += _spectrum(row.spectrum.model, row.spectrum.chance or 0.0)
    if not (codec or model or trusted):
        why = "nothing was measured" if real is None else f"the probe names {real:.0%} of the real"
        return Verdict(measured=row, who=UNKNOWN, why=why)
    who = BOTH if codec and model else CODEC if codec else MODEL if model else NEITHER
    return Verdict(
        measured=row,
        who=who,
        mostly=_mostly(row.accuracy) if who == BOTH else None,
        codec=tuple(codec),
        model=tuple(model),
    )


def _accuracy(before: float | None, after: float | None, n: int) -> list[str]:
    """Words for a loss beyond chance; shares are smoothed, or all of a few would be no chance."""
    if before is None or after is None:
        return []
    shares = [(share * n + 1) / (n + 2) for share in (before, after)]
    error = math.sqrt(sum(share * (1 - share) for share in shares) / n)
    lost = before - after
    if lost < LEAST_ACCURACY or lost <= SIGMAS * error:
        return []
    return [f"accuracy {before:.2f} → {after:.2f}"]


def _level(before: float | None, after: float | None) -> list[str]:
    if not before or after is None or after >= QUIET * before:
        return []
    return [f"level down to {after / before:.2f}"]


def _spectrum(moved: float, chance: float) -> list[str]:
    if moved < LEAST_SPECTRUM or moved <= chance:
        return []
    return [f"spectrum {moved:.0f} dB"]


def _mostly(accuracy: tuple[float | None, float | None, float | None]) -> str | None:
    if accuracy[0] is None or accuracy[1] is None or accuracy[2] is None:
        return None
    codec, model = accuracy[0] - accuracy[1], accuracy[1] - accuracy[2]
    if model > MOSTLY * max(codec, 0):
        return MODEL
    return CODEC if codec > MOSTLY * max(model, 0) else None
