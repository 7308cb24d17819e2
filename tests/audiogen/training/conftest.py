"""Real training processes, started by the scripts that people start, on one thread."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What the clock decides.
CLOCK = ("speed/", "train/frames_per_second", "train/sound_seconds_per_second", "train/mfu")
SMALL = ["trainer.enable_progress_bar=true"]
CODEC = [
    "experiment=smoke_codec",
    "codec.num_filters=2",
    "codec.dimension=8",
    "codec.codebook_size=16",
    "codec.lstm_layers=0",
    "data.train.segment_duration=0.2",
    "data.valid.segment_duration=0.2",
    "average.decay=0.9",
    *SMALL,
]
LM = ["experiment=smoke", "lm.dim=16", "lm.num_layers=1", "lm.num_heads=2", "text_dim=8", *SMALL]


@dataclass
class Started:
    """A script that runs."""

    pid: int
    log: Path
    _ask: Callable[[dict], str]

    def wait(self, *, seconds: float = 300) -> int:
        """Return the exit code, or minus the signal that killed it; SIGKILL if time was up."""
        return int(self._ask({"wait": self.pid, "seconds": seconds}))

    def kill_all(self) -> int:
        """Kill the process and all it started, as a power cut does."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def reach(self, step: int, runs: Path) -> None:
        """Wait until the history has reached ``step``."""
        deadline = time.monotonic() + 120
        while last_step(runs) < step:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.002)

    def signal_at(self, number: signal.Signals, step: int, runs: Path) -> int:
        """Send a signal as soon as the history has reached ``step``, and wait for the end."""
        self.reach(step, runs)
        os.kill(self.pid, number)
        return self.wait()


class Starter:
    """Forks scripts off a process that has imported everything already."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen | None = None

    def start(self, script: str, *overrides: str, ranks: int = 1) -> Started:
        argv = [str(ROOT / "scripts" / script), *overrides]
        job = {"argv": argv, "log": str(self.log), "ranks": ranks}
        return Started(int(self._ask(job)), self.log, self._ask)

    def run(self, script: str, *overrides: str) -> int:
        return self.start(script, *overrides).wait()

    def prepare(self, module: str) -> None:
        """Import a heavy module once for all scripts to come."""
        assert self._ask({"import": module}) == "imported\n"

    def _ask(self, job: dict) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("zygote.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true"},
            )
            assert self._process.stdout.readline() == "ready\n"
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    starter = Starter(tmp_path_factory.mktemp("scripts") / "log.txt")
    yield starter
    starter.stop()


def run_folder(runs: Path) -> Path:
    """Return the only run folder below ``runs``."""
    (folder,) = (path.parent for path in runs.glob("*/*/run.json"))
    return folder


def history(runs: Path) -> list[dict[str, str]]:
    """Read metrics.csv, without what the clock decides."""
    rows = list(csv.DictReader((run_folder(runs) / "metrics.csv").open()))
    return [{k: v for k, v in row.items() if not k.startswith(CLOCK)} for row in rows]


def last_step(runs: Path) -> int:
    """Return the step of the last row that is there by now."""
    text = "".join(path.read_text() for path in runs.glob("*/*/metrics.csv"))
    steps = [line.split(",")[0] for line in text.splitlines()]
    return int(steps[-1]) if steps and steps[-1].isdigit() else 0
