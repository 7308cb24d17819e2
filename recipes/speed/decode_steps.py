"""Steps of all ways in turns, at every batch and position."""

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

from recipes.speed.decode_cost import step_bytes
from recipes.speed.decode_subject import Subject
from recipes.speed.decode_ways import WAYS, Steps, make_way
from recipes.speed.timing import Times, Work, in_turns

CHUNK = 3  # steps timed together
LARGE = 16  # sounds at once, from which on a third of the rounds has to do


def measure_steps(
    subject: Subject, args: argparse.Namespace, rates: Mapping[str, float]
) -> dict[str, Any]:
    """Time steps of all ways in turns, at every batch and position."""
    made = {way: make_way(subject.lm, way) for way in args.ways}
    report: dict[str, Any] = {}
    for batch in args.batch:
        text = subject.text(batch)
        rounds = args.rounds if batch < LARGE else max(1, args.rounds // 3)
        for position in args.positions:
            steps: dict[str, Work] = {}
            for way, lm in made.items():
                one = Steps(lm, text, position=position, max_steps=(rounds + 1) * CHUNK)
                steps[way] = partial(repeat, one)
            times = in_turns(steps, rounds=rounds)
            report[place(batch, position)] = {
                "ways": {
                    way: figures(
                        each(times[way]),
                        each(times["baseline"]),
                        batch=batch,
                        moved=bytes_of(subject, way, batch, position),
                        rates=rates,
                        frame_rate=subject.frame_rate,
                    )
                    for way in made
                }
            }
    return report


def repeat(step: Work) -> None:
    """Take a few steps."""
    for _ in range(CHUNK):
        step()


def each(times: Times) -> Times:
    """Return the times of one step."""
    return Times(seconds=[seconds / CHUNK for seconds in times.seconds])


def place(batch: int, position: int) -> str:
    """Name a batch and a position."""
    return f"batch {batch} at {position}"


def bytes_of(subject: Subject, way: str, batch: int, position: int) -> int:
    """Return what a step of a way has to read."""
    how = WAYS[way]
    return step_bytes(
        subject.lm.config,
        batch=batch,
        position=position,
        text_positions=subject.text(1).shape[1],
        weights=how.weights,
        cache=how.cache,
        plain=how.plain,
    )


def figures(
    times: Times,
    baseline: Times,
    *,
    batch: int,
    moved: int,
    rates: Mapping[str, float],
    frame_rate: float,
) -> dict[str, float]:
    """Return what is printed of a way: a step makes one frame of every item."""
    return {
        "least_ms": 1e3 * times.least,
        "median_ms": 1e3 * times.median,
        **times.over(baseline),
        "audio_s_per_s": batch / frame_rate / times.least,
        "mb_per_step": moved / 1e6,
        "bandwidth_share": moved / times.least / 1e9 / rates["read_gb_per_s"],
    }
