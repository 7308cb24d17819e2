"""A made sound as its file, and the JSON file beside it that says how it was made."""

import json
import math
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from torch import Tensor

from audiogen.audio import resample, write_audio
from audiogen.cli.again import command_again
from audiogen.cli.jobs import Job
from audiogen.files import replacing
from audiogen.level import loudness, set_level, to_loudness
from audiogen.sound_writer import LONGEST_TAG

SUBTYPES = {"16": None, "24": "PCM_24", "float": "FLOAT"}
RATES = {  # Hz that a format knows; the others know all
    ".mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ".opus": (8000, 12000, 16000, 24000, 48000),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Writes sounds as the command line asks for it."""

    args: Namespace
    sample_rate: int  # Hz of the model
    licence: str  # of the model

    def __call__(self, job: Job, sound: Tensor, extra: Mapping[str, Any]) -> None:
        """Write float32 [C, T] and its record; ``extra`` goes into the record."""
        peak = round(float(sound.abs().max()), 4)
        rate = file_rate(job.path.suffix, self.sample_rate)
        sound = resample(self._leveled(sound), self.sample_rate, rate)
        exact = self.args.bits == "float"
        write_audio(
            job.path,
            sound,
            rate,
            subtype=SUBTYPES[self.args.bits],
            # Turned down rather than cut off: a clipped peak is heard, a softer sound is not.
            clipping="error" if exact else "rescale",
            tags=self._tags(job),
        )
        record = {
            **job.identity,
            **extra,
            "file": job.path.name,
            "model": self.args.model or "embedded",
            "licence": self.licence,
            "sample_rate": rate,
            "samples": sound.shape[-1],
            "bytes": job.path.stat().st_size,
            "command": command_again(self.args, job),
            "peak_before_writing": peak,
            **({} if self._target is None else {"loudness": _heard(sound, rate)}),
            "audiogen": version("audiogen"),
            "torch": version("torch"),
        }
        with replacing(job.record) as temporary:
            text = json.dumps(record, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    @property
    def _target(self) -> float | None:
        target: float | None = self.args.loudness
        return target

    def _leveled(self, sound: Tensor) -> Tensor:
        if self._target is not None:
            return to_loudness(sound, self.sample_rate, self._target)
        return set_level(
            sound, self.sample_rate, strategy=self.args.level, loudness_compressor=True
        )

    def _tags(self, job: Job) -> dict[str, str]:
        facts = {
            "seed": job.prompt.seed,
            "item": job.prompt.item,
            "model": self.args.model or "embedded",
            "model_hash": job.model_hash,
            "licence": self.licence,
            "settings": dict(job.settings),
            "audiogen": version("audiogen"),
            "prompt": job.prompt.text,  # last, as it is what a limit cuts
        }
        return {
            "title": job.prompt.text,
            "software": f"audiogen {facts['audiogen']}",
            "copyright": f"made with a model under {self.licence}",
            "license": self.licence,
            "comment": _comment(facts, ascii_only=job.path.suffix == ".mp3"),
        }


def _heard(sound: Tensor, rate: int) -> float | None:
    """LUFS; None of silence, as JSON knows no infinity."""
    found = loudness(sound, rate)
    return round(found, 2) if math.isfinite(found) else None


def _comment(facts: Mapping[str, Any], *, ascii_only: bool) -> str:
    """The facts as JSON within the limit of a tag, which stays JSON as the prompt is cut."""
    prompt = str(facts["prompt"])[:LONGEST_TAG]
    if len(prompt) < len(str(facts["prompt"])):
        prompt += "..."
    while True:
        text = json.dumps({**facts, "prompt": prompt}, ensure_ascii=ascii_only)
        beyond = len(text.encode()) - LONGEST_TAG
        if beyond <= 0 or not prompt:
            return text
        kept = max(0, len(prompt) - max(1, beyond // 12) - 3)
        prompt = f"{prompt[:kept]}..." if kept else ""


def file_rate(suffix: str, sample_rate: int) -> int:
    """Return the rate that a format writes a sound of ``sample_rate`` at: the same, or the next.

    >>> file_rate(".mp3", 16000), file_rate(".opus", 22050), file_rate(".wav", 12345)
    (16000, 24000, 12345)
    """
    known = RATES.get(suffix, (sample_rate,))
    return min((rate for rate in known if rate >= sample_rate), default=max(known))
