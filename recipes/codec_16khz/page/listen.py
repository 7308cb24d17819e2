"""The worst and the median clip of each class to listen to, before and after the codec."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audiogen.audio import write_audio
from recipes.codec_16khz.alarms import ClassScores
from recipes.codec_16khz.judged import Judged
from recipes.codec_16khz.roundtrip import Scores, round_trip
from recipes.page.players import RANGE, Heard, color_scale, hear, loudest, panel

FOLDERS = {"reference": "Original", "roundtrip": "Round trip"}
MAX_BYTES = 7_500_000  # of sound files: with base64 and pictures about 12 MB
MAX_CLIPS = 60
OPEN = 8  # clips shown at once; the others are folded in


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A clip to listen to, and why."""

    clip: str  # its id
    group: str  # its class
    why: str


def choices(classes: list[ClassScores]) -> list[Choice]:
    """Return the worst clip of every class, the worst class first, then the median ones."""
    worst = [
        Choice(
            clip=row.worst,
            group=row.name,
            why=f"worst of {row.n}" if row.n > 1 else "the only one",
        )
        for row in classes
    ]
    middle = [
        Choice(clip=row.median, group=row.name, why=f"median of {row.n}")
        for row in classes
        if row.median != row.worst
    ]
    return [*worst, *middle]


def listen_section(judged: Judged) -> dict[str, Any]:
    """Return the chosen clips with two panels each; what does not fit is counted."""
    chosen = choices(list(judged.classes))
    heard = list(_within_budget(judged, chosen))
    top = loudest([sounds for _, sounds in heard])
    return {
        "clips": [
            {
                "title": choice.group,
                "why": choice.why,
                "name": choice.clip,
                "scores": _words(judged.trips.scores[choice.clip]),
                "panels": [
                    panel(name, title, sounds[name], top) for name, title in FOLDERS.items()
                ],
            }
            for choice, sounds in heard
        ],
        "left_out": len(chosen) - len(heard),
        "open": OPEN,
        "range": RANGE,
        "scale": color_scale(),
    }


def _within_budget(
    judged: Judged, chosen: list[Choice]
) -> Iterator[tuple[Choice, dict[str, Heard | str]]]:
    """Yield clips and their sounds, in order, until the page is full."""
    total = 0
    for choice in chosen[:MAX_CLIPS]:
        sounds = _sounds(judged, choice.clip)
        total += sum(len(sound.content) for sound in sounds.values() if isinstance(sound, Heard))
        if total > MAX_BYTES:
            return
        yield choice, sounds


def _sounds(judged: Judged, clip: str) -> dict[str, Heard | str]:
    original, returned, _ = round_trip(judged.codec, judged.clips[clip])
    sounds = {}
    with TemporaryDirectory() as folder:
        for name, waveform in zip(FOLDERS, (original, returned), strict=True):
            path = Path(folder) / f"{name}.flac"
            write_audio(path, waveform[0], judged.codec.sample_rate, clipping="clamp")
            sounds[name] = hear(path)
    return sounds


def _words(scores: Scores) -> str:
    ratio = "no SI-SDR (silence)" if scores.si_sdr is None else f"SI-SDR {scores.si_sdr:.1f} dB"
    level = "no level" if scores.level is None else f"level {scores.level:+.1f} dB"
    return f"{ratio} · mel distance {scores.mel_distance:.2f} · {level}"
