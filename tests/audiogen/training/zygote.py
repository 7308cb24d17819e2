"""Starts scripts as real processes without paying for their imports each time.

Imports the training stack once, then for each line {"argv": [...], "log": path} on stdin forks a
child that runs the script as ``__main__``, and prints its process id; {"wait": pid, "seconds": n}
prints how the child ended. One that does not end in time is killed, with all it started: a process
that waits for another one for ever is a failure, not a test that never ends.

Nothing is computed here: torch refuses to differentiate in the child of a process that has done
so.
"""

import json
import os
import runpy
import signal
import sys
import time

import torch

import audiogen.training.codec_module
import audiogen.training.data
import audiogen.training.lm_module
import audiogen.training.random_data
import audiogen.training.run
import audiogen.training.samples
import audiogen.training.schedules  # noqa: F401


def wait(pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child(argv: list[str], log: str) -> None:
    os.setpgid(0, 0)  # what it starts is found again
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv = argv
    runpy.run_path(argv[0], run_name="__main__")


torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if "wait" in job:
        print(wait(job["wait"], job["seconds"]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(**job)
        sys.exit(0)
    print(pid, flush=True)
