"""The codec beside a plain baseline, in turns: python -m recipes.speed.codec [encode decode train]

Prints seconds, ratios, errors, peak memory and the floor of this machine; README.md explains them.
Exit code 0 if every gate of expected.json that was measured holds, 1 if one fails.
"""

import argparse
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.audio import read_audio
from audiogen.checkpoint import load_codec
from audiogen.codec.fast import accelerate
from audiogen.codec.model import Codec
from recipes.command import Parser
from recipes.speed.baseline import PlainCodec
from recipes.speed.errors import code_errors, sound_errors
from recipes.speed.memory import peak_of
from recipes.speed.report import parse_works, speed_command
from recipes.speed.timing import Work, cost, floor, in_turns, machine_rates

WORKS = ("encode", "decode", "batch", "train")
SMALL = {"num_filters": 4, "dimension": 16, "codebook_size": 32}  # --smoke
WAYS: Mapping[str, Mapping[str, Any] | None] = {
    "baseline": None,
    "exact": {},
    "near": {"lstm": "bfloat16"},
    "lstm-int8": {"lstm": "int8"},
    "convolutions-bfloat16": {"convolutions": "bfloat16"},
    "fast": {"convolutions": "bfloat16", "lstm": "int8"},
    "fast-lstm-bfloat16": {"convolutions": "bfloat16", "lstm": "bfloat16"},
}
BATCHES = (1, 4, 8)


def make_codec(*, smoke: bool, source: str | None = None) -> Codec:
    """Load a codec, or build the published shape with random weights."""
    if source is not None:
        return load_codec(source)
    torch.manual_seed(0)
    return Codec(init="scaled", kmeans_init=False, **(SMALL if smoke else {})).eval()


def make_way(codec: Codec, way: str) -> PlainCodec | Codec:
    """Make a codec compute in one of `WAYS`."""
    options = WAYS[way]
    if options is None:
        return PlainCodec(codec).eval()
    return accelerate(codec, **options) if options else codec


def make_sound(codec: Codec, *, seconds: float, path: Path | None = None) -> Tensor:
    """Read a sound, or make noise: float [1, C, T]."""
    samples = round(seconds * codec.sample_rate)
    if path is None:
        noise = torch.Generator().manual_seed(1)
        return torch.randn(1, codec.channels, samples, generator=noise) / 10
    sound, _ = read_audio(path, sample_rate=codec.sample_rate, channels=codec.channels)
    return sound[None, :, :samples]


def make_work(work: str, way: str, *, seconds: float, smoke: bool) -> Work:
    """Return one way of one work as a function, everything else freed: for `speed.memory`."""
    codec = make_codec(smoke=smoke)
    if work == "train":
        from recipes.speed import training

        judge = training.make_discriminator(smoke=smoke)
        batch = make_sound(codec, seconds=2 * min(seconds, 1.0)).view(2, 1, -1)
        if way == "baseline":
            baseline = training.make_baseline(codec, judge)
            return lambda: baseline.step(batch)
        precision = training.PRECISIONS[way]
        return lambda: training.fit(
            codec, judge, batch, updates=2, precision=precision, callbacks=[]
        )
    sound = make_sound(codec, seconds=seconds)
    codes = first(codec.encode(sound)) if smoke else random_codes(codec, seconds=seconds)
    made = make_way(codec, way)
    return works(made, sound, codes)[work]


def first(encoded: Any) -> Tensor:
    """Return the codes of what `encode` gave, with a scale or without."""
    return encoded[0] if isinstance(encoded, tuple) else encoded


def random_codes(codec: Codec, *, seconds: float, batch: int = 1) -> Tensor:
    """Draw codes int64 [B, K, T]."""
    shape = (batch, codec.num_codebooks, round(seconds * codec.frame_rate))
    return torch.randint(0, codec.codebook_size, shape, generator=torch.Generator().manual_seed(2))


def works(codec: PlainCodec | Codec, sound: Tensor, codes: Tensor) -> dict[str, Work]:
    """Return encoding and decoding as functions."""
    return {
        "encode": torch.no_grad()(lambda: codec.encode(sound)),
        "decode": torch.no_grad()(lambda: codec.decode(codes)),
    }


@torch.no_grad()
def measure_coding(work: str, args: argparse.Namespace, rates: Mapping[str, float]) -> Any:
    """Time, compare and weigh all ways of encoding or decoding."""
    codec = make_codec(smoke=args.smoke, source=args.codec)
    sound = make_sound(codec, seconds=args.seconds, path=args.sound)
    codes = first(codec.encode(sound))
    made = {way: make_way(codec, way) for way in args.ways}
    runs = {way: works(each, sound, codes)[work] for way, each in made.items()}
    times = in_turns(runs, rounds=args.rounds)
    plain = made["baseline"]
    assert isinstance(plain, PlainCodec)
    found: dict[str, Any] = {}
    for way, run in runs.items():
        compare = code_errors if work == "encode" else sound_errors
        found[way] = {
            "least_s": times[way].least,
            "median_s": times[way].median,
            **times[way].over(times["baseline"]),
            **compare(first(run()), first(runs["baseline"]())),
        }
    weight = cost(plain, runs["baseline"])
    return {"ways": found, "cost": weight, "floor": floor(weight, rates)}


@torch.no_grad()
def measure_batches(args: argparse.Namespace) -> Any:
    """Decode several clips: the baseline one after the other, ours together; clips per second."""
    codec = make_codec(smoke=args.smoke, source=args.codec)
    made = {way: make_way(codec, way) for way in args.ways}
    found: dict[str, Any] = {way: {} for way in made}
    for batch in BATCHES:
        codes = random_codes(codec, seconds=args.seconds, batch=batch)
        runs: dict[str, Work] = {
            way: (lambda each=each, codes=codes: each.decode(codes)) for way, each in made.items()
        }
        times = in_turns(runs, rounds=max(1, args.rounds // 3))
        for way, taken in times.items():
            found[way][f"clips_per_s_{batch}"] = batch / taken.least
            found[way][f"ratio_least_{batch}"] = taken.over(times["baseline"])["ratio_least"]
    return {"ways": found}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that was asked for."""
    torch.set_num_threads(args.threads)
    rates = machine_rates(size=256 if args.smoke else 2048)
    report: dict[str, Any] = {"machine": describe(args), "rates": rates}
    for work in args.work:
        if work == "batch":
            report[work] = measure_batches(args)
        elif work == "train":
            from recipes.speed.training import measure_training

            ways = measure_training(
                lambda: make_codec(smoke=args.smoke).train(),
                rounds=max(1, args.rounds // 2),
                seconds=min(args.seconds, 1.0),
                smoke=args.smoke,
            )
            report[work] = {"ways": {"baseline": {}, **ways}}
        else:
            report[work] = measure_coding(work, args, rates)
        if args.memory and work != "batch":
            ways = report[work]["ways"]
            for way, values in list(ways.items())[: 1 if args.smoke else None]:
                values["peak_mib"] = peak_of(
                    work, way, seconds=args.seconds, threads=args.threads, smoke=args.smoke
                )
    return report


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """Say where and how the figures came about."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "codec": args.codec or "random weights",
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = Parser(prog="python -m recipes.speed.codec", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, help="of sound (10; --smoke: 1)")
    parser.add_argument("--rounds", type=int, help="timed turns (9; --smoke: 1)")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), help="all if left out"
    )
    parser.add_argument("--codec", help="a trained codec, for its errors (random weights)")
    parser.add_argument("--sound", type=Path, help="a recording, for its errors (noise)")
    args = parse_works(parser, argv, WORKS, smoke="a tiny codec")
    if args.seconds is None:
        args.seconds = 1.0 if args.smoke else 10.0
    if args.rounds is None:
        args.rounds = 1 if args.smoke else 9
    if not (args.seconds > 0 and args.threads > 0 and args.rounds > 0):
        parser.error("--seconds, --threads and --rounds must be above 0")
    args.ways = list(dict.fromkeys(["baseline", *args.ways]))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, compare with expected.json."""
    try:
        args = parse(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    return speed_command(args, measure, WORKS, gated=None if args.smoke else "gates")


if __name__ == "__main__":
    sys.exit(main())
