"""Starts scripts as real processes without paying for their imports each time.

Imports the training stack once, then for each line {"argv": [...], "log": path} on stdin forks a
child that runs the script as ``__main__``, and prints its process id; {"wait": pid} prints how the
child ended. Nothing is computed here: torch refuses to differentiate in the child of a process
that has done so.
"""

import json
import os
import runpy
import sys

import torch

import audiogen.training.codec_module
import audiogen.training.data
import audiogen.training.lm_module
import audiogen.training.random_data
import audiogen.training.run
import audiogen.training.samples
import audiogen.training.schedules  # noqa: F401


def child(argv: list[str], log: str) -> None:
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
        _, status = os.waitpid(job["wait"], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(**job)
        sys.exit(0)
    print(pid, flush=True)
