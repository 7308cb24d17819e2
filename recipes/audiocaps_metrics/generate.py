"""Make the sounds of a run with `audiogen generate`, sampled as AudioCraft evaluates.

    python -m recipes.audiocaps_metrics.generate --run RUN --model MODEL [--processes 4]

Sampling: top-k 250 at temperature 1, guidance 3.0 in two steps, captions padded to the longest of
their batch. Sounds that are there already are not made again. Under `srun` and in job arrays each
task makes its share (see tasks.py); --processes divides it over processes of this machine, one GPU
each where there are several. RUN/generated.json appears once no sound is missing.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogen.model_folder.hub import check_source
from recipes.audiocaps_metrics.made import sounds_made
from recipes.audiocaps_metrics.tasks import Share, share_of
from recipes.command import Parser, exit_code
from recipes.results import write_results

SAMPLING: dict[str, Any] = {
    "top_k": 250,
    "top_p": 0.0,
    "temperature": 1.0,
    "guidance_scale": 3.0,
    "two_step": True,
    "padding": "batch",
}
TAIL = 12  # lines of a log that are shown when its process fails


def command_of(args: argparse.Namespace, share: Share, device: str) -> list[str]:
    """Return the words that make a share."""
    words = [sys.executable, "-m", "audiogen", "generate", "--no-page"]
    words += ["--prompts", str(args.run / "prompts.jsonl"), "--model", args.model]
    words += ["--out", str(args.run / "generated"), "--shard", str(share), "--device", device]
    words += ["--duration", f"{args.duration:g}", "--batch-size", str(args.batch)]
    for name, value in SAMPLING.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [f"{value}"])]
    for name in ("text_encoder", "codec", "fast"):
        if getattr(args, name):
            words += [f"--{name.replace('_', '-')}", getattr(args, name)]
    return words


def make_share(args: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Make this task's share in as many processes as asked for; return the first bad exit code."""
    shares = share_of(environment).split(args.processes)
    devices = _devices(args.device, shares, environment)
    logs = args.run / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for share, device in zip(shares, devices, strict=True):
            log = logs / f"generate-{share.index + 1}-of-{share.count}.log"
            with log.open("wb") as stream:
                # The first one shows its progress, the others write theirs down.
                shown = None if share is shares[0] else stream
                words = command_of(args, share, device)
                process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=shown)
            running.append((process, log))
        return _wait(running)
    finally:
        for process, _ in running:
            if process.poll() is None:
                process.terminate()


def _wait(running: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> int:
    for process, log in running:
        code = process.wait()
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            print(*tail, f"generation ended with exit code {code}", sep="\n", file=sys.stderr)
            return code if code > 0 else 128 - code
    return 0


def _devices(asked: str, shares: Sequence[Share], environment: Mapping[str, str]) -> list[str]:
    """Return a device for each process: GPUs in turn where there are several."""
    if asked != "auto":
        return [asked] * len(shares)
    import torch  # takes seconds, and is not needed for what the user can get wrong

    count = torch.cuda.device_count()
    if count < 2:
        return ["auto"] * len(shares)
    local = int(environment.get("SLURM_LOCALID", "0")) * len(shares)
    return [f"cuda:{(local + i) % count}" for i in range(len(shares))]


def finish(args: argparse.Namespace) -> str:
    """Count the sounds; write down how they were made once all are there. Returns words on it."""
    found = sounds_made(args.run)
    if found["missing"]:
        (args.run / "generated.json").unlink(missing_ok=True)  # of a time when there were more
        return f"{found['made']} of {found['sounds']} sounds are there; others are being made"
    write_results(args.run / "generated.json", found)
    return f"all {found['sounds']} sounds are there"


def main(argv: list[str] | None = None) -> int:
    """Make what is missing; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiocaps_metrics.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of the run")
    add("--model", required=True, help='model folder, hub id, or "embedded"')
    add("--duration", type=float, default=10.0, help="seconds of each sound (10)")
    add(
        "--batch", type=int, default=32, help="sounds made together; part of how they are made (32)"
    )
    add("--processes", type=int, default=1, help="on this machine (1)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    for name in ("--text-encoder", "--codec", "--fast"):
        add(name, help="as of `audiogen generate`")
    add("--check", action="store_true", help="only see whether there is such a model")
    args = parser.parse_args(argv)
    try:
        if args.check:
            check_source(args.model)
            return 0
        if args.processes < 1 or args.batch < 1 or not args.duration > 0:
            raise ValueError("--processes, --batch and --duration must be above 0")
        if not (args.run / "choice.json").is_file():
            raise ValueError(f"{args.run}: captions are not chosen yet; run.sh does it first")
        code = make_share(args, os.environ)
        if code == 0:
            print(finish(args), file=sys.stderr)
    except (ValueError, OSError) as error:
        return exit_code(error)
    return code


if __name__ == "__main__":
    sys.exit(main())
