"""Run one function in two processes of a group, and alone, to compare what they learned."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PATIENCE = 120.0  # seconds; a deadlock fails by it instead of hanging
RUN = """
import importlib.util, sys
import torch
import torch.distributed as dist

file, name, rank, store = sys.argv[1:]
sys.path.insert(0, file.rpartition("/")[0])
spec = importlib.util.spec_from_file_location("cases", file)
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + store, rank=int(rank), world_size=2)
result = getattr(cases, name)(int(rank), 2)
torch.save(result, store + rank)
dist.destroy_process_group()
"""


def run_both(function: Callable[[int, int], Any], folder: Path) -> list[Any]:
    """Return what ``function(rank, 2)`` of a module returns in each process of a group."""
    store = str(folder / "store")
    file = sys.modules[function.__module__].__file__
    command = [sys.executable, "-c", RUN, str(file), function.__name__]
    running = [subprocess.Popen([*command, str(rank), store]) for rank in (0, 1)]
    try:
        codes = [process.wait(timeout=PATIENCE) for process in running]
    finally:
        for process in running:
            process.kill()
    assert codes == [0, 0]
    return [torch.load(f"{store}{rank}", weights_only=True) for rank in (0, 1)]
