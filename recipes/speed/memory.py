"""Peak memory of one way, in a process of its own: python -m recipes.speed.memory WORK WAY."""

import argparse
import gc
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

RESET = Path("/proc/self/clear_refs")


def peak_of(work: str, way: str, *, seconds: float, threads: int, smoke: bool) -> float | None:
    """Run this module on one way; return the highest resident memory in MiB, None if it failed."""
    command = [sys.executable, "-m", "recipes.speed.memory", work, way]
    command += ["--seconds", str(seconds), "--threads", str(threads)]
    command += ["--smoke"] if smoke else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["peak_mib"] if done.returncode == 0 else None


def peak() -> float:
    """Highest resident memory of this process, MiB: since `forget_peak` where there is /proc."""
    if RESET.exists():
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget_peak() -> None:
    """Begin anew: making the model is not what is measured."""
    gc.collect()
    if RESET.exists():
        RESET.write_text("5", encoding="ascii")


def main(argv: list[str] | None = None) -> int:
    """Run one way twice; print its peak as JSON."""
    from recipes.speed.codec import make_work  # which starts this module in turn

    parser = argparse.ArgumentParser(prog="python -m recipes.speed.memory", description=__doc__)
    parser.add_argument("work", choices=("encode", "decode", "train"))
    parser.add_argument("way")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    run = make_work(args.work, args.way, seconds=args.seconds, smoke=args.smoke)
    forget_peak()
    run()
    gc.collect()  # what the first run leaves in reference cycles is not the second one's
    run()
    print(json.dumps({"peak_mib": peak()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
