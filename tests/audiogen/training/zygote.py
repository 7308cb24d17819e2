"""Starts scripts as real processes without paying for their imports each time.

Imports the training stack once, then for each line {"argv": [...], "log": path, "ranks": n} on
stdin forks n children that run the script as ``__main__``, and prints the process id of the first,
which ends after the others; {"wait": pid, "seconds": n} prints how it ended; {"import": name}
imports one module more. What does not end in time is killed, with all it started: a process that
waits for another one for ever is a failure, not a test that never ends.

Nothing is computed here: torch refuses to differentiate in the child of a process that has done
so.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time

import torch

import audiogen.training.codec_module
import audiogen.training.data
import audiogen.training.lm_module
import audiogen.training.random_data
import audiogen.training.run
import audiogen.training.samples
import audiogen.training.schedules
import audiogen.training.sharding  # noqa: F401


def wait(pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def join(ranks: int) -> list[int]:
    """Become the first of so many processes, and start the others, as torchrun does.

    Returns the process ids of the others, for the first.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
    }
    others = []
    for rank in range(ranks - 1, -1, -1):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        others.append(os.fork() if rank else 0)
        if others[-1] == 0:
            break
    return others[:-1] if rank == 0 else []


def child(argv: list[str], log: str, ranks: int = 1) -> None:
    os.setpgid(0, 0)  # what it starts is found again
    others = join(ranks) if ranks > 1 else []
    # After a fork torch makes its pool of threads anew at the first call of this, which must not be
    # two threads of autograd at once: now and then one of them found no pool and ended the process.
    torch.set_num_threads(1)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    finally:
        failed = [pid for pid in others if os.waitpid(pid, 0)[1]]
        if failed and sys.exc_info()[0] is None:
            sys.exit(f"{len(failed)} of the other processes failed")


torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if "import" in job:
        importlib.import_module(job["import"])
        print("imported", flush=True)
        continue
    if "wait" in job:
        print(wait(job["wait"], job["seconds"]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(**job)
        sys.exit(0)
    print(pid, flush=True)
