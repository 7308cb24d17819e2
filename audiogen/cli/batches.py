"""Many sounds: batches of equal length, a bar with the time left, less at once if memory ends."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from torch import Tensor
from tqdm import tqdm

from audiogen.audio import read_audio
from audiogen.cli.jobs import Job, is_done
from audiogen.cli.records import Writer
from audiogen.generation.memory import TooLittleMemoryError, is_out_of_memory
from audiogen.pipeline import AudioGen

CHUNK = 512  # sounds that are looked for again, as another process may have made them, and sorted
SLOW = 30.0  # seconds between lines where the bar goes into a file
OPTIONS = {  # what Python calls what -> what it is called here
    "batch_size": "--batch-size",
    "two_step=True": "--two-step",
    'load the model with dtype=torch.bfloat16, or on a CPU with lm_fast="near"': "on a CPU, take "
    "--fast near; or take a smaller model",
    "lower model.max_duration: shorter windows need less, and remember less": "take a smaller "
    "model, or another --device",
    "another device": "another --device",
}

Made = tuple[Job, Tensor, dict[str, Any]]  # its sound float32 [C, T], what a record says beside
Report = Callable[[int, int], None]


def make_sounds(
    model: AudioGen,
    jobs: Sequence[Job],
    options: Mapping[str, Any],
    args: argparse.Namespace,
    writer: Writer,
) -> None:
    """Make, write and print one sound after the other.

    Raises:
        TooLittleMemoryError: naming the option that costs least, if one sound alone does not fit.
    """
    make = _continuing(model, args) if args.prompt_audio else _plain(model, args)
    with _in_words_of_options(), _bar(len(jobs)) as bar:
        for first in range(0, len(jobs), CHUNK):
            chunk = jobs[first : first + CHUNK]
            done = first
            for group in _alike(chunk):
                todo = [job for job in group if not is_done(job)]
                done += len(group) - len(todo)
                for job, sound, extra in make(todo, options, _scaled(bar, done, len(todo))):
                    writer(job, sound, extra)
                    with _beside_a_bar():
                        print(job.path, flush=True)
                done += len(todo)
        bar.update(len(jobs) - bar.n)


def _alike(jobs: Sequence[Job]) -> list[list[Job]]:
    """Groups of one guidance scale; lengths are the pipeline's to group."""

    def scale(job: Job) -> float:
        return float(job.settings["guidance_scale"])

    return [list(group) for _, group in groupby(sorted(jobs, key=scale), key=scale)]


def _told(job: Job, options: Mapping[str, Any]) -> dict[str, Any]:
    told = {**options, "guidance_scale": job.settings["guidance_scale"]}
    told.pop("duration")
    return told


def _plain(
    model: AudioGen, args: argparse.Namespace
) -> Callable[[Sequence[Job], Mapping[str, Any], Report], Iterator[Made]]:
    def make(jobs: Sequence[Job], options: Mapping[str, Any], report: Report) -> Iterator[Made]:
        if not jobs:
            return
        sounds = model.generate_each(
            [job.prompt.text for job in jobs],
            durations=[job.settings["duration"] for job in jobs],
            seeds=[(job.prompt.seed, job.prompt.item) for job in jobs],
            batch_size=args.batch_size,
            progress=report,
            **_told(jobs[0], options),
        )
        for made in sounds:
            scored = {"scorer": made.scorer, "score": made.score, "scores": list(made.scores)}
            yield jobs[made.index], made.waveform, scored if made.scores else {}

    return make


def _continuing(
    model: AudioGen, args: argparse.Namespace
) -> Callable[[Sequence[Job], Mapping[str, Any], Report], Iterator[Made]]:
    """As `_plain`, of sounds that all begin with the one that is to be continued."""
    start = model.encode(*read_audio(args.prompt_audio))
    size = args.batch_size

    def attempt(batch: Sequence[Job], told: dict[str, Any], report: Report) -> Tensor:
        codes = model.generate_codes(
            [job.prompt.text for job in batch],
            duration=batch[0].settings["duration"],
            prompt_codes=start.expand(len(batch), -1, -1),
            seeds=[(job.prompt.seed, job.prompt.item) for job in batch],
            progress=report,
            **told,
        )
        return model.decode(codes)

    def make(jobs: Sequence[Job], options: Mapping[str, Any], report: Report) -> Iterator[Made]:
        nonlocal size
        left, done = sorted(jobs, key=_seconds), 0
        while left:
            batch = [job for job in left[:size] if _seconds(job) == _seconds(left[0])]
            rows, base = len(batch), done

            def moved(n: int, of: int, rows: int = rows, base: int = base) -> None:
                report(round(1000 * (base + rows * n / of)), 1000 * len(jobs))

            try:
                sounds = attempt(batch, _told(batch[0], options), moved)
            except (RuntimeError, MemoryError) as error:
                if rows == 1 or not is_out_of_memory(error):
                    raise
                size = rows // 2
                print(f"memory ran out: going on with --batch-size {size}", file=sys.stderr)
                continue
            yield from ((job, sound, {}) for job, sound in zip(batch, sounds, strict=True))
            left, done = left[rows:], done + rows

    return make


def _seconds(job: Job) -> float:
    return float(job.settings["duration"])


@contextmanager
def _in_words_of_options() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        advice = getattr(error, "advice", "take --two-step or --fast near, or a smaller model")
        reason = str(error.__cause__ or error).partition("\n")[0]
        for name, option in OPTIONS.items():
            advice = advice.replace(name, option)
        raise TooLittleMemoryError(advice, reason=reason) from error


@contextmanager
def _beside_a_bar() -> Iterator[None]:
    """Write a line while a bar is shown."""
    if sys.stderr.isatty():
        with tqdm.external_write_mode(file=sys.stdout):
            yield
    else:
        yield


class _Lines:
    """Where no terminal shows a bar that moves, it is a line now and then."""

    def write(self, text: str) -> None:
        """Write what the bar shows, if anything, as a line."""
        if shown := text.strip():
            sys.stderr.write(f"{shown}\n")

    def flush(self) -> None:
        """Show it."""
        sys.stderr.flush()


def _bar(total: int) -> "tqdm[Any]":
    """A bar of sounds on stderr; in a file, such as that of a job, a line now and then."""
    sounds = "1 sound" if total == 1 else f"{total} sounds"
    return tqdm(
        total=total,
        file=sys.stderr if sys.stderr.isatty() else _Lines(),
        desc=sounds,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left",
        mininterval=0.1 if sys.stderr.isatty() else SLOW,
        smoothing=0.05,
    )


def _scaled(bar: "tqdm[Any]", base: int, count: int) -> Report:
    """Move the bar from ``base`` sounds on by parts of the ``count`` that are being made."""

    def report(done: int, total: int) -> None:
        bar.update(base + count * done / total - bar.n)

    return report
