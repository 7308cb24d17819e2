"""Many sounds: batches of equal length, a bar with the time left, less at once if memory ends."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from audiogen.audio import read_audio
from audiogen.cli.jobs import Job, is_done
from audiogen.cli.records import Writer
from audiogen.pipeline import AudioGen

CHUNK = 512  # sounds that are looked for again, as another process may have made them, and sorted
SLOW = 30.0  # seconds between lines where the bar goes into a file


def make_sounds(
    model: AudioGen,
    jobs: Sequence[Job],
    options: Mapping[str, Any],
    args: argparse.Namespace,
    writer: Writer,
) -> None:
    """Make, write and print one sound after the other."""
    start = _start(model, args)
    with _bar(len(jobs)) as bar:
        for first in range(0, len(jobs), CHUNK):
            chunk = jobs[first : first + CHUNK]
            todo = [job for job in chunk if not is_done(job)]
            report = _reporter(bar, first + len(chunk) - len(todo))
            for job, sound, extra in _made(model, todo, options, args, start, report):
                writer(job, sound, extra)
                with _beside_a_bar():
                    print(job.path, flush=True)


def _start(model: AudioGen, args: argparse.Namespace) -> Tensor | None:
    """Codes int64 [1, K, P] of the sound that all are to begin with."""
    if not args.prompt_audio:
        return None
    sound, rate = read_audio(args.prompt_audio)
    return model.encode(sound, rate)


def _made(
    model: AudioGen,
    jobs: Sequence[Job],
    options: Mapping[str, Any],
    args: argparse.Namespace,
    start: Tensor | None,
    report: Callable[[float], None],
) -> Iterator[tuple[Job, Tensor, dict[str, Any]]]:
    """Yield jobs, their sounds float32 [C, T], and what a record is to say beside."""

    def alike(job: Job) -> tuple[float, float]:
        return (job.settings["duration"], job.settings["guidance_scale"])

    size, done = args.batch_size, 0
    for (duration, scale), group in groupby(sorted(jobs, key=alike), key=alike):
        left = list(group)
        own = {**options, "duration": duration, "guidance_scale": scale}
        while left:
            batch = left[:size]
            try:
                sounds = _batch(model, batch, own, start, _scaled(report, done, len(batch)))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size = max(1, len(batch) // 2)
                print(f"out of memory: going on with --batch-size {size}", file=sys.stderr)
                continue
            for job, sound in zip(batch, sounds, strict=True):
                yield job, sound, {}
            left, done = left[len(batch) :], done + len(batch)


def _batch(
    model: AudioGen,
    batch: Sequence[Job],
    options: dict[str, Any],
    start: Tensor | None,
    progress: Callable[[int, int], None],
) -> Tensor:
    codes = model.generate_codes(
        [job.prompt.text for job in batch],
        seeds=[(job.prompt.seed, job.prompt.item) for job in batch],
        prompt_codes=None if start is None else start.expand(len(batch), -1, -1),
        progress=progress,
        **options,
    )
    return model.decode(codes)


def _scaled(report: Callable[[float], None], base: int, rows: int) -> Callable[[int, int], None]:
    """Frames done and to do of a batch as sounds done."""
    return lambda frames, total: report(base + rows * frames / total)


@contextmanager
def _beside_a_bar() -> Iterator[None]:
    """Write a line while a bar is shown."""
    if sys.stderr.isatty():
        with tqdm.external_write_mode(file=sys.stdout):
            yield
    else:
        yield


def _bar(total: int) -> "tqdm[Any]":
    """A bar of sounds on stderr; in a file, such as that of a job, a line now and then."""
    sounds = "1 sound" if total == 1 else f"{total} sounds"
    return tqdm(
        total=total,
        file=sys.stderr,
        desc=sounds,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left",
        mininterval=0.1 if sys.stderr.isatty() else SLOW,
        smoothing=0.05,
    )


def _reporter(bar: "tqdm[Any]", base: int) -> Callable[[float], None]:
    """Move the bar to a number of sounds, parts of one included."""

    def report(sounds: float) -> None:
        bar.update(base + sounds - bar.n)

    return report
