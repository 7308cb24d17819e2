"""Python, started without paying for its imports each time.

``serve SOCKET`` imports what the stages of the recipes do, once, and then forks a process for each
``ask SOCKET ARGUMENTS``, which runs those arguments as python would, with the streams, the folder
and the environment of the one that asked, and ends as it did.

Nothing is computed in the server: torch refuses to differentiate in the child of a process that
has done so.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path


def ask(place: str, arguments: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        socket.send_fds(server, [b"."], [0, 1, 2])
        job = {"argv": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
        server.sendall(json.dumps(job).encode() + b"\n")
        code = int(server.makefile().readline() or 1)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def serve(place: str) -> None:
    sys.path[0] = str(Path.cwd())
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        print("ready", flush=True)
        while server in select.select([server, sys.stdin], [], [])[0]:  # until its owner ends
            client, _ = server.accept()
            if os.fork() == 0:  # one process for each, which waits for the one that works
                server.close()
                answer(client)
                os._exit(0)
            client.close()


def load() -> None:
    """Import what takes long."""
    import importlib

    import torch

    names = ("training.codec_module", "training.lm_module", "training.data", "training.run")
    for name in (*names, "training.samples", "training.schedules", "pipeline", "encode"):
        importlib.import_module(f"audiogen.{name}")
    for name in ("jinja2", "matplotlib.figure", "recipes.demo.page.training", "scipy.stats"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    gc.freeze()  # or every process would copy what it only looks at


def answer(client: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    job = json.loads(client.makefile().readline())
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # what it starts is found again
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        become(**job)
    for stream in streams:
        os.close(stream)
    client.setblocking(False)
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if left(client):
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
    client.setblocking(True)
    client.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


def left(client: socket.socket) -> bool:
    """Whether the one that asked is gone."""
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def become(argv: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Run a module or a script as python does; does not return."""
    # torch makes its pool of threads anew at the first call of this after a fork, and two threads
    # of autograd at once are too many for that.
    sys.modules["torch"].set_num_threads(1)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    try:
        if argv[0] == "-m":
            sys.argv, sys.path[0] = argv[1:], cwd
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
            runpy.run_path(argv[0], run_name="__main__")
        code: object = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking apart what was imported takes seconds


if __name__ == "__main__":
    what, place, *arguments = sys.argv[1:]
    if what == "ask":
        sys.exit(ask(place, arguments))
    serve(place)
