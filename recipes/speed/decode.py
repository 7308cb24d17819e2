"""Generating codes beside a plain baseline: python -m recipes.speed.decode [steps quality clip]

Works are steps (a guided, sampled step at several batches and positions), quality (logits and
greedy codes beside the exact ones) and clip (a sound from caption to waveform). Prints ms, seconds
of sound per second, bytes, shares of the measured bandwidth, ratios and peak memory; README.md
explains them. Exit code 0 if every gate of expected.json that was measured holds, 1 if one fails.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from audiogen.lm.generate import generate_codes
from recipes.command import Parser
from recipes.speed.decode_steps import measure_steps, place
from recipes.speed.decode_subject import TEXT_POSITIONS, Subject, load_subject, make_subject
from recipes.speed.decode_ways import WAYS, Clip, Steps, logit_errors, make_text, make_way
from recipes.speed.lm import SIZES, make_lm
from recipes.speed.memory import memory_of
from recipes.speed.report import parse_works, speed_command
from recipes.speed.timing import Work, machine_rates, read_rate

WORKS = ("steps", "quality", "clip")
BATCHES, POSITIONS = (1, 4, 16, 64), (0, 250, 480)
FRAME_RATE = 50.0  # Hz, of the published codec
CPUINFO = Path("/proc/cpuinfo")
JUDGED = (2, 64)  # items and frames of codes whose prediction is compared


def make_work(work: str, way: str, *, seconds: float, smoke: bool) -> Work:
    """Return steps of one way as a function, the exact weights freed: for `speed.memory`.

    Args:
        work: the size of the model.
        way: a name of `WAYS`.
        seconds: how far into a sound.
        smoke: the smallest model instead.
    """
    lm = make_lm("smoke" if smoke else work).eval()
    text = make_text(lm, batch=1, positions=TEXT_POSITIONS)
    made = make_way(lm, way, release=True)
    del lm
    return Steps(made, text, position=round(seconds * FRAME_RATE), max_steps=4)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that was asked for."""
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False  # the baseline and "exact" are float32
    rates = machine_rates(size=256 if args.smoke else 2048, device=args.device)
    subject = load_subject(args.model) if args.model else make_subject(args.size)
    report: dict[str, Any] = {"machine": describe(args), "rates": rates}
    if args.device == "cuda":
        from recipes.speed.decode_gpu import measure_clips

        return report | measure_clips(subject, args, rates)
    rates |= read_rate()
    if "steps" in args.work:
        report |= (steps := measure_steps(subject, args, rates))
        if args.memory and not args.model:
            add_memory(next(iter(steps.values()))["ways"], args)
    if "quality" in args.work:
        report["quality"] = {"ways": measure_quality(subject, args)}
    if "clip" in args.work:
        report["clip"] = {"ways": measure_clip(subject, args)}
    return report


@torch.no_grad()
def measure_quality(subject: Subject, args: argparse.Namespace) -> dict[str, Any]:
    """Compare the logits of the ways with the exact ones, for codes the exact model drew."""
    items, frames = JUDGED
    text = subject.text(items)
    codes = generate_codes(
        subject.lm,
        text,
        None,
        num_frames=5 if args.smoke else frames,
        generators=[torch.Generator().manual_seed(n) for n in range(items)],
    )
    return {
        way: logit_errors(make_way(subject.lm, way), subject.lm, codes, text) for way in args.ways
    }


def measure_clip(subject: Subject, args: argparse.Namespace) -> dict[str, Any]:
    """Make a whole sound once in every way, codec included; it runs in no turns, being long."""
    clock = time.thread_time if args.threads == 1 else time.perf_counter
    taken: dict[str, float] = {}
    for way in args.ways:
        clip = Clip(subject.lm, subject.codec, way=way, seconds=args.seconds, text=subject.text(1))
        began = clock()
        clip()
        taken[way] = clock() - began
    return {
        way: {
            "seconds": seconds,
            "ratio": taken["baseline"] / seconds,
            "audio_s_per_s": args.seconds / seconds,
        }
        for way, seconds in taken.items()
    }


def add_memory(ways: dict[str, Any], args: argparse.Namespace) -> None:
    """Add peak memory of every way, at the end of a sound, in a process of its own."""
    for way, values in list(ways.items())[: 1 if args.smoke else None]:
        found = memory_of(
            args.size,
            way,
            seconds=max(POSITIONS) / FRAME_RATE,
            threads=args.threads,
            smoke=args.smoke,
            program="decode",
        )
        values |= {"peak_mib": found["peak_mib"]} if found else {}


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """Say where, when and how the figures came about."""
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else None
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": gpu or processor(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "model": str(args.model or args.size),
        "rounds": args.rounds,
    }


def processor() -> str:
    """Return what this machine calls its processor."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = Parser(prog="python -m recipes.speed.decode", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, help="of random weights (small; cuda: medium)")
    parser.add_argument("--model", type=Path, help="a model folder instead, for its errors")
    parser.add_argument("--batch", type=int, nargs="+", help="sounds at once (1 4 16 64)")
    parser.add_argument("--positions", type=int, nargs="+", help="steps before (0 250 480)")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (5; above 8 a third)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (10)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parse_works(parser, argv, WORKS, smoke="a tiny model")
    args.size = "smoke" if args.smoke else args.size or default_size(args.device)
    args.batch = args.batch or ((1, 64) if args.device == "cuda" else BATCHES)
    args.positions = POSITIONS if args.positions is None else args.positions
    if args.smoke:
        args.batch, args.positions, args.rounds, args.seconds = (1, 2), (0, 5), 1, 0.1
    if min(*args.batch, args.threads, args.rounds) < 1 or min(args.positions) < 0:
        parser.error("--batch, --threads and --rounds must be above 0, --positions not below")
    if not 0.1 <= args.seconds <= 3600:
        parser.error("--seconds must be between 0.1 and 3600")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that this torch can use: leave out --device cuda")
    args.ways = list(dict.fromkeys(["baseline", *args.ways]))
    return args


def default_size(device: str) -> str:
    """Return the size the targets are set for."""
    return "medium" if device == "cuda" else "small"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, compare with expected.json."""
    try:
        args = parse(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.device == "cuda":
        names = [f"batch {batch}" for batch in args.batch]
    else:
        names = [place(batch, at) for batch in args.batch for at in args.positions]
    binding = not args.smoke and not args.model and args.size == default_size(args.device)
    gated = "decode_gpu" if args.device == "cuda" else "decode"
    return speed_command(args, measure, [*names, *WORKS], gated=gated if binding else None)


if __name__ == "__main__":
    sys.exit(main())
