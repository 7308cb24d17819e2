"""Sound files -> mono FLAC files at the rate of the models, and the spans of sound in them."""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from audiogen.audio import SILENCE, AudioError, AudioLevels, audio_writer, check_audio, read_audio
from audiogen.data.manifest import write_json_lines

SHORTEST = 0.1  # seconds; below that there is a click, no sound
SHORTEST_EVENT = 0.005  # seconds above silence; less is the ringing of the filter at a cut
SHORTEST_REST = 1.0  # seconds; a shorter rest at the end of a file stays with the clip before it
CANCELLED = 0.1  # mean over channels against the channels: below -20 dB they cancel each other out
WHOLE, FAILED = {"file", "pieces", "sha256", "bytes"}, {"file", "reason"}  # keys of the journal
AMBISONIC = re.compile(r"ambix|fuma|ambisonic|b[-_ ]?format", re.IGNORECASE)


def convert_all(
    files: Mapping[str, tuple[Path, Path]],
    journal: Path,
    *,
    sample_rate: int,
    clip_seconds: float,
) -> dict[str, dict[str, Any]]:
    """Convert files of which the journal does not know yet what became of them.

    Args:
        files: (source, target) by key.
        journal: JSON lines, one per finished file, appended as they finish: a killed run goes on
            behind the last, and a second run decodes nothing. A file counts as known while its
            size and time of change, its target and the settings are the same.
        sample_rate: Hz.
        clip_seconds: see `convert`.

    Returns:
        By key, what `convert` gave, or the "reason" why the file is of no use.
    """
    settings = {"sample_rate": sample_rate, "clip_seconds": clip_seconds}
    facts = {key: _facts(key, *pair) | settings for key, pair in files.items()}
    rows = {
        row["file"]: row
        for row in _read_journal(journal)
        if row["file"] in files
        and row.items() >= facts[row["file"]].items()
        and ("reason" in row or _bytes(files[row["file"]][1]) == row["bytes"])
    }
    write_json_lines(journal, rows.values())  # which drops a half-written last line
    todo = [key for key in files if key not in rows]
    with (
        _one_thread(),
        journal.open("a", encoding="utf-8") as file,
        tqdm(
            desc="preparing",
            unit="file",
            initial=len(rows),
            total=len(files),
            file=sys.stderr,
            disable=not todo,
        ) as bar,
    ):
        for key in todo:
            source, target = files[key]
            lasting = True
            try:
                found = convert(source, target, sample_rate=sample_rate, clip_seconds=clip_seconds)
            except AudioError as error:
                found = {"reason": str(error).removeprefix(f"{source}: ")}
                # Permissions may be other ones next time, and are no part of the facts.
                lasting = not isinstance(error.__cause__, OSError)
            rows[key] = facts[key] | found
            if lasting:
                file.write(json.dumps(rows[key]) + "\n")
                file.flush()
            bar.update()
    return rows


def convert(source: Path, target: Path, *, sample_rate: int, clip_seconds: float) -> dict[str, Any]:
    """Write ``source`` as mono FLAC and say what it holds.

    Files longer than ``clip_seconds`` are read piece by piece, so that hours fit in memory.
    Whole files are turned down where they would go beyond full scale.

    Returns:
        "pieces": [start, duration] in seconds of every clip that is not silent, and "sha256" and
        "bytes" of the written file.

    Raises:
        AudioError: if the file is of no use, saying why.
        OSError: if the converted one cannot be written.
    """
    levels = check_audio(source)
    if levels.info.duration < SHORTEST:
        raise AudioError(
            f"{source}: too short: {levels.info.duration:.3f} s; {SHORTEST} s are needed"
        )
    channels = channels_to_mix(source.name, levels)
    gain = 1 / max(1.0, levels.peak)
    total = -(-levels.info.frames * sample_rate // levels.info.sample_rate)
    step = round(clip_seconds * sample_rate)
    spans: list[tuple[int, int, int]] = []  # first sample, samples, samples above silence
    with audio_writer(target, sample_rate, 1, clamp=True) as write:
        for begin in range(0, total, step):
            piece, _ = read_audio(
                source,
                start=begin / sample_rate,
                duration=step / sample_rate,
                sample_rate=sample_rate,
            )
            mono = piece[channels].mean(dim=0, keepdim=True) * gain
            write(mono)
            spans.append((begin, mono.shape[1], int((mono.abs() > SILENCE).sum())))
    pieces = [
        [begin / sample_rate, length / sample_rate]
        for begin, length, audible in _join_rest(spans, round(SHORTEST_REST * sample_rate))
        if audible >= SHORTEST_EVENT * sample_rate
    ]
    if not pieces:
        target.unlink()
        raise AudioError(f"{source}: silent: nothing is left of it in mono; leave it out")
    written = target.read_bytes()
    sha256 = hashlib.sha256(written).hexdigest()
    return {"pieces": pieces, "sha256": sha256, "bytes": len(written)}


def channels_to_mix(name: str, levels: AudioLevels) -> list[int]:
    """Choose the channels whose mean is the mono sound.

    All of one or two, but the louder one where two cancel each other out; the first of an
    ambisonic file, which is the sound from all sides; the front pair of other surround files,
    whose rest is echo and bass; and the loudest where what was chosen is silent.
    """
    rms = levels.channel_rms
    loudest = [max(range(len(rms)), key=rms.__getitem__)]
    if len(rms) == 1:
        return [0]
    if len(rms) == 2:
        return loudest if levels.mono_rms < CANCELLED * rms[loudest[0]] else [0, 1]
    chosen = [0] if AMBISONIC.search(name) else [0, 1]
    return chosen if max(rms[c] for c in chosen) > SILENCE else loudest


def _join_rest(spans: list[tuple[int, int, int]], shortest: int) -> list[tuple[int, int, int]]:
    if len(spans) < 2 or spans[-1][1] >= shortest:
        return spans
    (begin, length, audible), (_, rest, audible_rest) = spans[-2:]
    return [*spans[:-2], (begin, length + rest, audible + audible_rest)]


@contextmanager
def _one_thread() -> Iterator[None]:
    # A few seconds of sound are too little work to share: the threads wait for each other, and
    # preparing takes several times as long.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _facts(key: str, source: Path, target: Path) -> dict[str, Any]:
    facts = {"file": key, "name": target.name}
    try:
        stat = source.stat()
    except OSError:  # a link that leads nowhere; `convert` will say so
        return facts | {"size": None, "changed": None}
    return facts | {"size": stat.st_size, "changed": stat.st_mtime_ns}


def _bytes(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read_journal(journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows; of a damaged journal those before the damage, the rest is done again."""
    if not journal.exists():
        return
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # cut off when the process was killed
            return
        if not isinstance(row, dict) or not (row.keys() >= WHOLE or row.keys() >= FAILED):
            return
        yield row
