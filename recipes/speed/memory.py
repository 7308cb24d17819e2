"""Peak memory of one way, in a process of its own: python -m recipes.speed.memory WORK WAY."""

import argparse
import ctypes
import gc
import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

RESET = Path("/proc/self/clear_refs")
MMAP_THRESHOLD = -3  # glibc's name for it, malloc.h


def peak_of(work: str, way: str, **how: Any) -> float | None:
    """Run this module on one way; return the highest resident memory in MiB, None if it failed."""
    found = memory_of(work, way, **how)
    return None if found is None else found["peak_mib"]


def memory_of(
    work: str, way: str, *, seconds: float, threads: int, smoke: bool, program: str = "codec"
) -> dict[str, float] | None:
    """Run this module on one way of a program; return what it prints, None if it failed."""
    command = [sys.executable, "-m", "recipes.speed.memory", work, way, "--program", program]
    command += ["--seconds", str(seconds), "--threads", str(threads)]
    command += ["--smoke"] if smoke else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, float] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def peak() -> float:
    """Highest resident memory of this process, MiB: since `forget_peak` where there is /proc."""
    if RESET.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def forget_peak() -> None:
    """Begin anew: making the model is not what is measured."""
    gc.collect()
    if RESET.exists():
        RESET.write_text("5", encoding="ascii")


def return_what_is_freed() -> None:
    """Let the allocator give blocks of a MiB back at once: else a second run finds them again."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        libc.mallopt(MMAP_THRESHOLD, 1 << 20)


def main(argv: list[str] | None = None) -> int:
    """Run one way twice; print as JSON its peak, and by how much the second run exceeds the rest.

    What stays after the first run, such as a thread's own buffers, is no part of the excess.
    """
    parser = argparse.ArgumentParser(prog="python -m recipes.speed.memory", description=__doc__)
    parser.add_argument("work")
    parser.add_argument("way")
    parser.add_argument("--program", choices=("codec", "lm", "decode"), default="codec")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    program = importlib.import_module(f"recipes.speed.{args.program}")  # it starts this module
    if args.program != "codec":
        return_what_is_freed()
    run = program.make_work(args.work, args.way, seconds=args.seconds, smoke=args.smoke)
    forget_peak()
    run()
    gc.collect()  # what the first run leaves in reference cycles is not the second one's
    first = peak()
    forget_peak()
    before = peak()
    run()
    print(json.dumps({"peak_mib": max(first, peak()), "extra_mib": peak() - before}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
