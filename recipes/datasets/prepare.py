"""Sound files and what is known about them -> audio/*.flac, manifest.jsonl and skipped.jsonl.

What the recipes of this folder share. A killed run goes on where it was, and a second run looks at
sizes and times only: conversions.jsonl remembers what became of every file.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from audiogen.audio import remove_unfinished
from audiogen.data.manifest import SPLITS, Clip, write_json_lines, write_manifest
from recipes.datasets.convert import SHORTEST_REST, convert_all

SHARES = {"test": 0.1, "valid": 0.1}  # of the files; the rest trains
LONGEST_NAME = 80  # bytes, of at least 143 that file systems allow
HIGHEST_RATE = 655350  # Hz, of what FLAC holds
MIN_FILES = 3  # one for each split


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """One file of a data set."""

    path: Path
    key: str  # its POSIX path inside the data set, by which it is named in reports
    captions: tuple[str, ...]
    source: str
    licence: str
    labels: Mapping[str, str]
    split: str | None  # None: chosen from the content


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of a data set."""

    manifest: Path
    files: int  # converted, by this run or one before
    clips: Mapping[str, int]  # per split
    uncaptioned: int  # clips without any caption
    skipped: Mapping[str, int]  # files per reason


def prepare(
    sounds: Sequence[Sound],
    out: Path,
    *,
    origin: str,
    sample_rate: int,
    clip_seconds: float,
    split_seed: int,
    missing: Iterable[Mapping[str, str]] = (),
    min_files: int = MIN_FILES,
) -> Report:
    """Convert sounds, divide them into splits and write the manifest.

    Args:
        sounds: with distinct keys.
        out: folder to write.
        origin: what the sounds are, to tell a later run of the same from another one's folder.
        sample_rate: Hz of the converted files.
        clip_seconds: longer files become several clips of one converted file.
        split_seed: another seed, other splits.
        missing: {"file", "reason"} of what the recipe already knows not to be there.
        min_files: an error if fewer than this can be used.

    Raises:
        ValueError: if ``out`` holds something else, or too few files can be used.
    """
    finite = SHORTEST_REST <= clip_seconds < math.inf
    if not (1 <= sample_rate <= HIGHEST_RATE and finite):
        raise ValueError(
            f"expected a sample rate of 1 to {HIGHEST_RATE} Hz and clips of {SHORTEST_REST} s or "
            f"more, got {sample_rate} and {clip_seconds}"
        )
    _claim(out, origin)
    audio = out / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    for folder in (out, audio):
        remove_unfinished(folder)
    names = file_names(sound.key for sound in sounds)
    rows = convert_all(
        {sound.key: (sound.path, audio / f"{names[sound.key]}.flac") for sound in sounds},
        out / "conversions.jsonl",
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
    )
    skipped = [{"file": r["file"], "reason": r["reason"]} for r in rows.values() if "reason" in r]
    skipped = sorted([*map(dict, missing), *skipped], key=lambda row: row["file"])
    write_json_lines(out / "skipped.jsonl", skipped)
    usable = [sound for sound in sounds if "reason" not in rows[sound.key]]
    if len(usable) < max(1, min_files):
        raise ValueError(_too_few(len(usable), max(1, min_files), out, skipped))
    splits = _splits(usable, rows, split_seed)
    clips = [
        clip
        for sound in usable
        for clip in _clips(
            sound, names[sound.key], splits[sound.key], rows[sound.key]["pieces"], audio
        )
    ]
    counts = Counter(clip.split for clip in clips)
    return Report(
        manifest=write_manifest(out / "manifest.jsonl", clips),
        files=len(usable),
        clips={split: counts[split] for split in SPLITS},
        uncaptioned=sum(not clip.captions for clip in clips),
        skipped=_kinds(skipped),
    )


def file_names(keys: Iterable[str]) -> dict[str, str]:
    """Name the converted files: legible, fit for every file system, and no two alike.

    >>> file_names(["dog/Bark 1.wav", "rain.wav"])
    {'dog/Bark 1.wav': 'dog-Bark_1', 'rain.wav': 'rain'}
    """
    keys = list(keys)
    wanted = {key: _legible(key) for key in keys}
    taken = Counter(name.casefold() for name, _ in wanted.values())
    return {
        key: name if whole and taken[name.casefold()] == 1 else f"{name}-{_digest(key)[:8]}"
        for key, (name, whole) in wanted.items()
    }


def choose_splits(groups: Iterable[str], *, seed: int) -> dict[str, str]:
    """Divide groups into train, valid and test, a tenth each for the last two.

    Each group falls by its own hash, so that added files do not move the others. Where a split
    would stay empty it gets one of the largest; two groups make train and valid, one is train.
    """
    place = {group: int(_digest(f"{seed}:{group}")[:8], 16) / 2**32 for group in groups}
    splits = {}
    for group, value in place.items():
        test, valid = SHARES["test"], SHARES["test"] + SHARES["valid"]
        splits[group] = "test" if value < test else "valid" if value < valid else "train"
    wanted = SPLITS[: len(place)]
    for group in place:
        if splits[group] not in wanted:
            splits[group] = "train"
    for split in wanted:
        counts = Counter(splits.values())
        if not counts[split]:
            largest = max(SPLITS, key=lambda name: counts[name])
            splits[min((g for g in place if splits[g] == largest), key=place.__getitem__)] = split
    return splits


def _claim(out: Path, origin: str) -> None:
    """Refuse a folder that holds something else; what is written into it would destroy that."""
    record = out / "prepared.json"
    if record.exists():
        try:
            found = json.loads(record.read_text(encoding="utf-8"))["origin"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{record}: damaged; delete {out} and prepare it again") from error
        if found != origin:
            raise ValueError(
                f"{out}: holds {found}, not {origin}; choose another --out, or delete that folder"
            )
    elif (out / "audio").exists() or (out / "manifest.jsonl").exists():
        raise ValueError(f"{out}: has audio that no recipe put there; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json_lines(record, [{"origin": origin}])


def _splits(usable: Sequence[Sound], rows: Mapping[str, Any], seed: int) -> dict[str, str]:
    """The split of every sound, by key; equal content never falls into two splits.

    Only where there would be too few different contents for all splits does each file count.
    """
    groups = {sound.key: rows[sound.key]["sha256"] for sound in usable if sound.split is None}
    if len(set(groups.values())) < len(SPLITS):
        groups = {key: key for key in groups}
    chosen = choose_splits(sorted(set(groups.values())), seed=seed)
    given = {sound.key: sound.split for sound in usable if sound.split is not None}
    return given | {key: chosen[group] for key, group in groups.items()}


def _clips(
    sound: Sound, name: str, split: str, pieces: Sequence[Sequence[float]], audio: Path
) -> list[Clip]:
    return [
        Clip(
            id=name if len(pieces) == 1 else f"{name}.{number:03d}",
            path=audio / f"{name}.flac",
            start=start,
            duration=duration,
            captions=sound.captions,
            source=sound.source,
            licence=sound.licence,
            split=split,
            labels=sound.labels,
            extra={"file": sound.key},
        )
        for number, (start, duration) in enumerate(pieces)
    ]


def _legible(key: str) -> tuple[str, bool]:
    """A file name made of the letters of a key, and whether it is all of it."""
    text = unicodedata.normalize("NFC", str(PurePosixPath(key).with_suffix(""))).replace("/", "-")
    name = re.sub(r"(_|[^\w-])+", "_", text).strip("_-") or "sound"
    short = name.encode()[:LONGEST_NAME].decode("utf-8", "ignore")
    return short, short == name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _too_few(usable: int, wanted: int, out: Path, skipped: Sequence[Mapping[str, str]]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in _kinds(skipped).items())
    return (
        f"only {usable} of {usable + len(skipped)} sound files can be used, at least {wanted} are "
        f"needed ({kinds or 'no more are there'}; see {out / 'skipped.jsonl'}); add sounds, or "
        "allow fewer with --min-files"
    )


def _kinds(skipped: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """How many files there are per reason: its words up to the first detail."""
    kinds = Counter(re.split(r" ?[:;(]", row["reason"])[0] for row in skipped)
    return dict(kinds.most_common())
