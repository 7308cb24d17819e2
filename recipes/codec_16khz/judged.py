"""A codec judged by sounds: what was found, in memory and as plain values."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

from tqdm import tqdm

from audiogen.codec.health import Health, health_of
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip
from recipes.codec_16khz.alarms import Alarm, ClassScores, alarms, by_class
from recipes.codec_16khz.roundtrip import RoundTrips, score_clips
from recipes.page.inputs import History, main_label

ALL = "all clips"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A codec, the clips it was judged by, and what was found."""

    codec: Codec
    clips: Mapping[str, Clip]  # by id
    label: str | None  # what the classes are
    trips: RoundTrips
    health: Health
    classes: Sequence[ClassScores]
    alarms: Sequence[Alarm]


def judge(codec: Codec, clips: Sequence[Clip], history: History | None = None) -> Judged:
    """Send clips through a codec and judge what came back, how its codes were used, and, by the
    history of its training, whether they came to rest.
    """
    shown = tqdm(clips, desc="round trips", unit="clip", file=sys.stderr)
    trips = score_clips(codec, shown)
    label = main_label(clip.labels for clip in clips)
    names = {c.id: c.labels.get(label, f"no {label}") if label else ALL for c in clips}
    restarts = [int(number) for number in codec.quantizer.restarts[: codec.num_codebooks]]
    health = health_of(trips.counts, frame_rate=codec.frame_rate, restarts=restarts)
    classes = by_class(trips.scores, names)
    return Judged(
        codec=codec,
        clips={clip.id: clip for clip in clips},
        label=label,
        trips=trips,
        health=health,
        classes=classes,
        alarms=alarms(health, classes, history),
    )


def record(judged: Judged) -> dict[str, Any]:
    """Return everything found as plain values, for health.json."""
    codec, scores = judged.codec, judged.trips.scores
    ratios = [s.si_sdr for s in scores.values() if s.si_sdr is not None]
    levels = [s.level for s in scores.values() if s.level is not None]
    return {
        "codec": {
            "fingerprint": codec.fingerprint(),
            "sample_rate": codec.sample_rate,
            "frame_rate": codec.frame_rate,
            "codebooks": codec.num_codebooks,
            "codebook_size": codec.codebook_size,
        },
        "sounds": {
            "n": len(scores),
            "seconds": sum(clip.duration for clip in judged.clips.values()),
            "label": judged.label,
            "sources": sorted({clip.source for clip in judged.clips.values()}),
            "licences": sorted({clip.licence for clip in judged.clips.values()}),
        },
        "scores": {
            "si_sdr": mean(ratios) if ratios else None,
            "mel_distance": mean(s.mel_distance for s in scores.values()),
            "log_spectral": mean(s.log_spectral for s in scores.values()),
            "level": median(levels) if levels else None,
        },
        "health": asdict(judged.health) | {"efficiency": judged.health.efficiency},
        "counts": judged.trips.counts.tolist(),
        "classes": [asdict(row) for row in judged.classes],
        "clips": [{"id": clip, **asdict(values)} for clip, values in scores.items()],
        "alarms": [asdict(alarm) for alarm in judged.alarms],
    }
