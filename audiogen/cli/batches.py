"""Many sounds: batches of equal length, a bar with the time left, less at once if memory ends."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from audiogen.audio import read_audio
from audiogen.cli.claims import Claims
from audiogen.cli.jobs import Job, is_done
from audiogen.generation.memory import TooLittleMemoryError, is_out_of_memory
from audiogen.pipeline import AudioGen

CHUNK = 512  # sounds that are sorted by what they have in common
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
Write = Callable[[Job, Tensor, Mapping[str, Any]], None]


def make_sounds(
    model: AudioGen,
    jobs: Sequence[Job],
    options: Mapping[str, Any],
    args: argparse.Namespace,
    write: Write,
) -> None:
    """Make, write and print one sound after the other.

    Raises:
        TooLittleMemoryError: naming the option that costs least, if one sound alone does not fit.
    """
    start = _start(model, args.prompt_audio) if args.prompt_audio else None
    with _in_words_of_options(), _bar(len(jobs)) as bar, Claims(args.out) as claims:
        making = _Making(model=model, options=options, start=start, args=args, claims=claims)
        for job, sound, extra in chain(making.unclaimed(jobs, bar), making.put_off()):
            write(job, sound, extra)
            claims.drop(job)
            _print(job)
        bar.update(len(jobs) - bar.n)


def _print(job: Job) -> None:
    with _beside_a_bar():
        print(job.path, flush=True)


def _groups(jobs: Sequence[Job], *, whole: int) -> Iterator[list[Job]]:
    """Groups of one guidance scale, not too large; lengths are the pipeline's to group.

    Of ``whole`` jobs in a row none is parted from the others.
    """

    def scale(job: Job) -> float:
        return float(job.settings["guidance_scale"])

    chunk = max(1, CHUNK // whole) * whole
    for first in range(0, len(jobs), chunk):
        for _, group in groupby(sorted(jobs[first : first + chunk], key=scale), key=scale):
            yield list(group)


def _start(model: AudioGen, path: Path) -> Tensor:
    """Return the codes int64 [1, K, P] of the sound that is to be continued."""
    sound, rate = read_audio(path)
    try:
        return model.encode(sound, rate)
    except (ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(
            f"--continue {path}: {sound.shape[-1]} samples at {rate} Hz cannot be continued: "
            f"{error}"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Making:
    """Makes jobs that no other process has made, or is making."""

    model: AudioGen
    options: Mapping[str, Any]
    start: Tensor | None  # int64 [1, K, P] of the sound that is to be continued
    args: argparse.Namespace
    claims: Claims
    later: list[Job] = field(default_factory=list)  # what another process was making

    def unclaimed(self, jobs: Sequence[Job], bar: "tqdm[Any]") -> Iterator[Made]:
        """Make all but what is `put_off`."""
        done = 0
        whole = self.args.batch_size if self.args.padding == "batch" else 1
        for group in _groups(jobs, whole=whole):
            yield from self._made(group, _scaled(bar, done, len(group)), self._is_free)
            done += len(group)

    def put_off(self) -> Iterator[Made]:
        """Make what another process was to make, and has not."""
        for group in _groups(self.later, whole=1):
            yield from self._made(group, None, self._is_missing)

    def _is_free(self, job: Job) -> bool:
        free = self.claims.take(job)
        if not self._is_missing(job):
            return False
        if not free:
            self.later.append(job)
        return free

    def _is_missing(self, job: Job) -> bool:
        if not is_done(job):
            return True
        self.claims.drop(job)
        _print(job)
        return False

    def _made(
        self, jobs: Sequence[Job], report: Report | None, wanted: Callable[[Job], bool]
    ) -> Iterator[Made]:
        """Make jobs of one guidance scale."""
        told = {name: value for name, value in self.options.items() if name != "duration"}
        own = self.args.padding == "own"  # a padded batch is made as a whole
        sounds = self.model.generate_each(
            [job.prompt.text for job in jobs],
            durations=[job.settings["duration"] for job in jobs],
            seeds=[(job.prompt.seed, job.prompt.item) for job in jobs],
            batch_size=self.args.batch_size,
            prompt_codes=self.start,
            wanted=(lambda index: wanted(jobs[index])) if own else None,
            progress=report,
            **{**told, "guidance_scale": jobs[0].settings["guidance_scale"]},
        )
        for made in sounds:
            scores = {"n": made.n, "scores": list(made.scores)}
            scored = {"scorer": made.scorer, "score": made.score, **scores}
            yield jobs[made.index], made.waveform, scored if made.scores else {}


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
