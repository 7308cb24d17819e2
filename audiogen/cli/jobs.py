"""The files that prompts become, and which of them are there already."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiogen.audio import AudioError, audio_info
from audiogen.cli.names import slug
from audiogen.cli.prompts import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One file to write."""

    prompt: Prompt
    path: Path  # of the sound
    settings: Mapping[str, Any]  # what decides the sound beside the prompt and its seed
    model_hash: str

    @property
    def record(self) -> Path:
        """The JSON file beside the sound; it is written last and so says that both are whole."""
        return self.path.with_suffix(".json")

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what the sound is."""
        return _identity(self.prompt, self.settings, self.model_hash)


def plan(
    prompts: Iterable[Prompt],
    out: Path,
    settings: Mapping[str, Any],
    *,
    model_hash: str,
    suffix: str,
) -> list[Job]:
    """Return the files to be; what is asked for twice is one file."""
    jobs: dict[str, Job] = {}
    shared: dict[tuple[float | None, float | None], Mapping[str, Any]] = {}
    for prompt in prompts:
        own = (prompt.duration, prompt.guidance_scale)
        if own not in shared:
            changes = {"duration": own[0], "guidance_scale": own[1]}
            given = {name: value for name, value in changes.items() if value is not None}
            shared[own] = {**settings, **given}
        name = prompt.name or _name(prompt, shared[own], model_hash)
        path = out / f"{name}{suffix}"
        jobs[name] = Job(prompt=prompt, path=path, settings=shared[own], model_hash=model_hash)
    return list(jobs.values())


def _identity(prompt: Prompt, settings: Mapping[str, Any], model_hash: str) -> dict[str, Any]:
    return {
        "prompt": prompt.text,
        "seed": prompt.seed,
        "item": prompt.item,
        "settings": dict(settings),
        "model_hash": model_hash,
    }


def _name(prompt: Prompt, settings: Mapping[str, Any], model_hash: str) -> str:
    text = json.dumps(_identity(prompt, settings, model_hash), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{slug(prompt.text)}_seed{prompt.seed}_{digest}"


def split_done(jobs: Sequence[Job], out: Path) -> tuple[list[Job], list[Job]]:
    """Return the jobs that are done and those to do, in their order; see `is_done`."""
    there = {entry.name for entry in os.scandir(out)} if out.is_dir() else set()
    done: list[Job] = []
    todo: list[Job] = []
    for job in jobs:
        (done if job.record.name in there and is_done(job) else todo).append(job)
    return done, todo


def is_done(job: Job) -> bool:
    """Whether sound and record are there and whole.

    Raises:
        ValueError: if they are, but made in another way, which an id as a name can lead to.
    """
    found = read_record(job.record)
    if found is None:
        return False
    own = found.get("file") == job.path.name
    if not _is_whole(job.path if own else job.path.with_name(str(found.get("file"))), found):
        return False
    if not own or any(found.get(key) != value for key, value in job.identity.items()):
        raise ValueError(
            f"{job.path.with_name(str(found['file']))} was made with another prompt, seed, model, "
            "settings or format: give another --out, or remove it"
        )
    return True


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what a record says, or None where there is no whole one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    file = found.get("file") if isinstance(found, dict) else None
    return found if isinstance(file, str) and Path(file).name == file != "" else None


def _is_whole(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether a sound is as long as its record says; of another size, as with new tags, it is read.

    A thousand sizes are compared in the time that one header is read in.
    """
    try:
        if path.stat().st_size == record.get("bytes"):
            return True
        return audio_info(path).frames == record.get("samples")
    except (OSError, AudioError):
        return False
