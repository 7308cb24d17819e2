"""The language model's training beside a plain baseline: python -m recipes.speed.lm [WORK ...]

Works are train (an update), loss (of the head alone) and loader (of cached tokens). Prints seconds,
ratios, errors, the share of the machine's rate (MFU) and peak memory; README.md explains them.
Exit code 0 if every gate of expected.json that was measured holds, 1 if one fails.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from audiogen.lm.model import TokenLM
from audiogen.products import products
from recipes.command import Parser
from recipes.speed import lm_loss, lm_training
from recipes.speed.memory import memory_of
from recipes.speed.report import parse_works, speed_command
from recipes.speed.timing import Work, in_turns, machine_rates

WORKS = ("train", "loss", "loader")
CODES = {"num_codebooks": 4, "codebook_size": 2048, "text_dim": 1024, "delays": [0, 1, 2, 3]}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "smoke": CODES
    | {"codebook_size": 32, "text_dim": 8, "dim": 16, "num_layers": 1}
    | {"num_heads": 2},
    "base": CODES | {"dim": 512, "num_layers": 8, "num_heads": 8},
    "small": CODES | {"dim": 1024, "num_layers": 24, "num_heads": 16},
    "medium": CODES | {"dim": 1536, "num_layers": 48, "num_heads": 24},
}
STORED = 256  # items of the folder the loader reads


def make_lm(size: str) -> TokenLM:
    """Build a model with random weights."""
    torch.manual_seed(0)
    return TokenLM(**SIZES[size])


def make_loss(way: str, *, size: str, batch: int, frames: int, device: str) -> Work:
    """Return the loss of a size in one way, as a function."""
    shape = SIZES[size]
    return lm_loss.make_loss(
        way,
        dim=shape["dim"],
        batch=batch,
        frames=frames,
        codebooks=shape["num_codebooks"],
        size=shape["codebook_size"],
        delays=shape["delays"],
        device=device,
    )


def make_work(work: str, way: str, *, seconds: float, smoke: bool) -> Work:
    """Return one way of one work as a function, for `speed.memory`: base size, two items."""
    size, frames = ("smoke", 20) if smoke else ("base", round(50 * seconds))
    if work == "loss":
        return make_loss(way, size=size, batch=2, frames=frames, device="cpu")
    lm = make_lm(size)
    folder = tempfile.TemporaryDirectory()
    tokens = lm_training.write_tokens(Path(folder.name), lm, items=2, frames=frames)
    if way == "baseline":
        baseline = lm_training.make_baseline(lm, batch=2, device="cpu")
        batch = lm_training.plain_batch(tokens, batch=2, device="cpu")
        del lm
        return partial(_keeping, folder, lambda: baseline.step(batch))
    run = partial(lm_training.fit, lm, tokens, way=way, updates=2, batch=2, device="cpu")
    return partial(_keeping, folder, run)


def _keeping(_: object, run: Work) -> object:
    """Run something while a folder is still there."""
    return run()


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that was asked for."""
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False  # the baseline and "exact" are float32
    rates = machine_rates(size=256 if args.smoke else 2048, device=args.device)
    if args.device == "cpu":
        rates |= onednn_rate(size=256 if args.smoke else 2048)
    report: dict[str, Any] = {"machine": describe(args), "rates": rates}
    with tempfile.TemporaryDirectory() as folder:
        for work in args.work:
            report[work] = {"ways": MEASURES[work](args, rates, Path(folder) / work)}
    compare_loader(report)
    if args.memory and args.device == "cpu" and args.size in ("base", "smoke"):
        add_memory(report, args)
    return report


def onednn_rate(*, size: int) -> dict[str, float]:
    """Measure operations of float32 products per second, by oneDNN."""
    factor = torch.randn(size, size)
    with products("onednn"):
        times = in_turns({"onednn": lambda: F.linear(factor, factor)}, rounds=3)["onednn"]
    return {"float32_onednn_gflop_per_s": 2 * size**3 / times.least / 1e9}


def measure_train(args: argparse.Namespace, rates: Mapping[str, float], folder: Path) -> Any:
    """Time updates, each beside one of the baseline."""
    lm_training.write_tokens(folder, make_lm(args.size), items=args.batch, frames=args.frames)
    measured = lm_training.measure_training(
        partial(make_lm, args.size),
        folder,
        ways=args.ways,
        batch=args.batch,
        frames=args.frames,
        rounds=args.rounds,
        device=args.device,
        rates=rates,
    )
    return {"baseline": {}, **measured}


def measure_loss(args: argparse.Namespace, _: Mapping[str, float], __: Path) -> Any:
    """Time the loss of the head alone in turns."""
    size = {"size": args.size, "batch": args.batch, "frames": args.frames}
    ways = [way for way in lm_loss.WAYS if args.device == "cpu" or way != "exact-onednn"]
    runs = {way: make_loss(way, **size, device=args.device) for way in ways}
    times = in_turns(runs, rounds=args.rounds, device=args.device)
    exact = float(runs["baseline"]())  # type: ignore[arg-type]
    return {
        way: {
            "least_s": taken.least,
            "median_s": taken.median,
            **taken.over(times["baseline"]),
            "loss_error": abs(float(runs[way]()) - exact) / exact,  # type: ignore[arg-type]
        }
        for way, taken in times.items()
    }


def measure_loader(args: argparse.Namespace, _: Mapping[str, float], folder: Path) -> Any:
    """Time batches of cached tokens."""
    lm_training.write_tokens(folder, make_lm(args.size), items=STORED, frames=args.frames)
    times = lm_training.measure_loader(folder, batch=args.batch)
    return {"tokens": {"least_s": times.least, "median_s": times.median}}


MEASURES = {"train": measure_train, "loss": measure_loss, "loader": measure_loader}


def compare_loader(report: dict[str, Any]) -> None:
    """Add what share of the quickest update the loader takes, where both were measured."""
    if "train" in report and "loader" in report:
        updates = [way["least_s"] for way in report["train"]["ways"].values() if way]
        loaded = report["loader"]["ways"]["tokens"]
        loaded["share_of_update"] = loaded["median_s"] / min(updates)


def add_memory(report: dict[str, Any], args: argparse.Namespace) -> None:
    """Add peak memory, of every way in a process of its own, and its share of the baseline's."""
    for work in ("train", "loss"):
        ways = report.get(work, {}).get("ways", {})
        for way, values in list(ways.items())[: 2 if args.smoke else None]:
            found = memory_of(
                work,
                way,
                seconds=args.frames / 50,
                threads=args.threads,
                smoke=args.smoke,
                program="lm",
            )
            values |= found or {}
        plain = ways.get("baseline", {}).get("extra_mib")
        for values in ways.values():
            if work == "loss" and plain and "extra_mib" in values:
                values["memory_share"] = values["extra_mib"] / plain


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """Say where and how the figures came about."""
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else None
    return {
        "processor": gpu or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "size": args.size,
        "batch": args.batch,
        "frames": args.frames,
        "rounds": args.rounds,
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = Parser(prog="python -m recipes.speed.lm", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base", help="of the model (base)")
    parser.add_argument("--batch", type=int, default=2, help="items of an update (2)")
    parser.add_argument("--frames", type=int, default=500, help="of an item (500)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (5)")
    ways = lm_training.WAYS
    parser.add_argument(
        "--ways", nargs="+", choices=ways, help="of training; uncompiled by default"
    )
    args = parse_works(parser, argv, WORKS, smoke="a tiny model")
    if args.smoke:
        args.size, args.frames, args.rounds = "smoke", 20, 1
    if min(args.batch, args.threads, args.rounds) < 1 or args.frames < 4:
        parser.error("--batch, --threads and --rounds must be above 0, --frames above 3")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that this torch can use: leave out --device cuda")
    if args.ways is None:
        left_out = {"bf16-compiled"} if args.device == "cpu" else {"exact-onednn"}
        args.ways = [way for way in ways if way not in left_out]
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, compare with expected.json."""
    try:
        args = parse(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    binding = not args.smoke and args.device == "cpu" and args.size == "base"
    return speed_command(args, measure, WORKS, gated="lm" if binding else None)


if __name__ == "__main__":
    sys.exit(main())
