"""From scores to judgments: each class, and what needs attention, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import mean, median

from audiogen.codec.health import Health
from recipes.codec_16khz.roundtrip import Scores
from recipes.page.inputs import History

BAD, WARNING = "bad", "warning"

COLLAPSED = 2.0  # codes: a codebook of lower perplexity decides less than yes or no
FRAMES_PER_ENTRY = 10  # counted, before an entry that nobody chose means anything
UNUSED = 0.1  # share of the entries
EFFICIENCY = 0.8  # entropy over log2 N
LOST = -20.0  # dB of SI-SDR: a hundredth of what comes back is the original
QUIET = -6.0  # dB: half the amplitude; louder by as much is no better
WORSE = 1.5  # mel distance of a class over the median of the classes
RESTLESS = 0.1  # share of the entries replaced per 100 updates at the end of the training
FEW_CLASSES = 4  # with fewer there is no rest to be worse than

THRESHOLDS = (
    f"The round trips are not the sounds when in the median of the classes SI-SDR is below "
    f"{LOST:.0f} dB: less than a hundredth of the energy that comes back is the original, a "
    "correlation below 0.1. Unrelated sounds are far below it (white noise of 5 s at 16 kHz: "
    "-49 dB), and a sound in noise as loud as itself is at 0 dB. It is the median because single "
    "classes of noise may sound right and score low.",
    f"A codebook is dead when its perplexity is below {COLLAPSED:.0f}: it says less than one bit, "
    "and the bits it costs are lost.",
    f"Unused entries count when more than {UNUSED:.0%} of a codebook is never chosen although "
    f"every entry would be about {FRAMES_PER_ENTRY} times or more if all were used alike. On "
    "fewer frames nothing is said, because rare entries are then missed by chance.",
    f"Efficiency is entropy over the log2 N bits that a code costs. Below {EFFICIENCY:.0%} a "
    "fifth of the bit rate carries nothing, and a smaller codebook would do as well. Natural "
    "sounds never use all entries alike, so 100 % is not the goal.",
    f"A class is much worse when its mean mel distance is over {WORSE:g} times the median of the "
    f"classes; with fewer than {FEW_CLASSES} classes nothing is said. SI-SDR is not used for it: "
    "noise (rain, wind) may sound right and score low.",
    f"A class lost its level when its round trips are in the median more than {-QUIET:.0f} dB "
    "below the originals, half their amplitude; as much above them is a warning.",
    f"A codebook is restless when over the last tenth of the training more than {RESTLESS:.0%} of "
    "its entries were replaced per 100 updates, about the memory of their moving averages: encoder "
    "and decoder then learned from codes that did not stay. Smaller steps, larger batches, fewer "
    "entries or a lower dead_code_threshold help.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScores:
    """The clips of one class."""

    name: str
    n: int
    si_sdr: float | None  # dB, mean over the clips that have one
    mel_distance: float  # mean
    log_spectral: float  # dB, mean
    level: float | None  # dB, median
    worst: str  # id of the clip with the largest mel distance
    median: str  # id of the clip in the middle by mel distance, the better one of two


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """Something that needs attention."""

    degree: str  # BAD or WARNING
    text: str


def by_class(scores: Mapping[str, Scores], classes: Mapping[str, str]) -> list[ClassScores]:
    """Return one row per class, the worst mel distance first.

    Args:
        scores: by the clip's id.
        classes: class by the clip's id.
    """
    groups: dict[str, list[str]] = {}
    for clip in scores:
        groups.setdefault(classes[clip], []).append(clip)
    rows = [_class(name, {clip: scores[clip] for clip in clips}) for name, clips in groups.items()]
    return sorted(rows, key=lambda row: (-row.mel_distance, row.name))


def alarms(
    health: Health, classes: Sequence[ClassScores], history: History | None = None
) -> list[Alarm]:
    """Say what needs attention: codebooks, classes, training; the bad before the doubtful."""
    found = [*_sound_alarms(classes), *_codebook_alarms(health)]
    found += [*_level_alarms(classes), *_class_alarms(classes)]
    if history is not None:
        found += _training_alarms(history, health.codebook_size)
    return sorted(found, key=lambda alarm: alarm.degree != BAD)


def _class(name: str, scores: Mapping[str, Scores]) -> ClassScores:
    order = sorted(scores, key=lambda clip: scores[clip].mel_distance)
    ratios = [s.si_sdr for s in scores.values() if s.si_sdr is not None]
    levels = [s.level for s in scores.values() if s.level is not None]
    return ClassScores(
        name=name,
        n=len(scores),
        si_sdr=mean(ratios) if ratios else None,
        mel_distance=mean(s.mel_distance for s in scores.values()),
        log_spectral=mean(s.log_spectral for s in scores.values()),
        level=median(levels) if levels else None,
        worst=order[-1],
        median=order[(len(order) - 1) // 2],
    )


def _sound_alarms(classes: Sequence[ClassScores]) -> list[Alarm]:
    ratios = [row.si_sdr for row in classes if row.si_sdr is not None]
    if not ratios or median(ratios) >= LOST:
        return []
    text = (
        f"The round trips are not the sounds: SI-SDR is {median(ratios):.1f} dB in the median of "
        f"{len(ratios)} classes. Train the codec longer before anything is built on it; if it was "
        "trained, see whether its weights belong to it."
    )
    return [Alarm(degree=BAD, text=text)]


def _codebook_alarms(health: Health) -> list[Alarm]:
    found = []
    enough = health.frames >= FRAMES_PER_ENTRY * health.codebook_size
    for number, book in enumerate(health.codebooks, start=1):
        if book.perplexity < COLLAPSED:
            text = (
                f"Codebook {number} is dead: its codes are worth {book.perplexity:.2f} equally "
                f"used entries of {health.codebook_size}."
            )
            found.append(Alarm(degree=BAD, text=text))
            continue
        if enough and 1 - book.usage > UNUSED:
            text = (
                f"Codebook {number} never chose {book.dead} of its {health.codebook_size} entries "
                f"in {health.frames} frames."
            )
            found.append(Alarm(degree=WARNING, text=text))
        if book.efficiency < EFFICIENCY:
            text = (
                f"Codebook {number} carries {book.entropy:.1f} bits per code, "
                f"{book.efficiency:.0%} of what it costs."
            )
            found.append(Alarm(degree=WARNING, text=text))
    return found


def _level_alarms(classes: Sequence[ClassScores]) -> list[Alarm]:
    levels = sorted((row.level, row.name) for row in classes if row.level is not None)
    quiet = [(level, name) for level, name in levels if level < QUIET]
    loud = [(level, name) for level, name in levels if level > -QUIET]
    found = []
    if quiet:
        advice = "A language model on this codec will be as quiet."
        text = f"Comes back much quieter: {_named(quiet)}. {advice}"
        found.append(Alarm(degree=BAD, text=text))
    if loud:
        found.append(Alarm(degree=WARNING, text=f"Comes back much louder: {_named(loud)}."))
    return found


def _named(levels: Sequence[tuple[float, str]]) -> str:
    return ", ".join(f"{name} ({level:+.1f} dB)" for level, name in levels)


def _class_alarms(classes: Sequence[ClassScores]) -> list[Alarm]:
    if len(classes) < FEW_CLASSES:
        return []
    middle = median(row.mel_distance for row in classes)
    worse = [row for row in classes if row.mel_distance > WORSE * middle]
    if not worse:
        return []
    names = ", ".join(f"{row.name} ({row.mel_distance:.2f}, N = {row.n})" for row in worse)
    text = f"Much worse than the rest by mel distance (median {middle:.2f}): {names}."
    return [Alarm(degree=WARNING, text=text)]


def _training_alarms(history: History, codebook_size: int) -> list[Alarm]:
    found = []
    for number, rate in enumerate(_restart_rates(history), start=1):
        if rate > RESTLESS * codebook_size:
            found.append(f"{number} ({rate:.0f} of {codebook_size})")
    if not found:
        return []
    text = (
        f"Restless to the end of the training, entries replaced per 100 updates: codebook "
        f"{', '.join(found)}."
    )
    return [Alarm(degree=WARNING, text=text)]


def _restart_rates(history: History) -> Iterator[float]:
    """Yield restarts per 100 updates over the last tenth of the training, codebook by codebook."""
    for k in count():
        steps, totals = history.series(f"codebooks/restarts_{k}")
        if not steps:
            return
        begin = next(i for i, step in enumerate(steps) if step >= 0.9 * steps[-1])
        updates = steps[-1] - steps[begin]
        yield 100 * (totals[-1] - totals[begin]) / updates if updates else 0.0
