"""The run.sh of a recipe, started as people start it, and recordings for it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
Words = list[object]


@dataclass(frozen=True, kw_only=True)
class RunScript:
    """The run.sh of one recipe."""

    recipe: str
    python: str

    @property
    def path(self) -> Path:
        return ROOT / "recipes" / self.recipe / "run.sh"

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Start it and wait for the end."""
        return subprocess.run(
            self._command(words),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def kill_at(self, words: Words, title: str, *, later: float = 0) -> None:
        """Start it, and SIGKILL all of it when a stage has begun, or so many seconds later."""
        with subprocess.Popen(
            self._command(words), env=self._environment(), stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            for line in process.stderr:
                if f"== {title}" in line:
                    break
            time.sleep(later)
            os.killpg(process.pid, signal.SIGKILL)

    def assert_refuses(self, words: Words, said: str, *, run: Path) -> None:
        """It ends with exit code 2 and one line, and nothing was made."""
        finished = self.run("--run", run, *words)
        assert finished.returncode == 2
        errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert said in errors[0]
        assert not (run / "data").exists()

    def assert_names_a_missing_python(self, folder: Path, *words: str) -> None:
        """In a fresh checkout, and with PYTHON= a path of the caller that is not there."""
        script = folder / "recipes" / self.recipe / "run.sh"
        script.parent.mkdir(parents=True)
        for file in (f"{self.recipe}/run.sh", "run.bash"):
            (folder / "recipes" / file).write_bytes((ROOT / "recipes" / file).read_bytes())
        shutil.copytree(ROOT / "conf" / "experiment", folder / "conf" / "experiment")
        without = {name: value for name, value in os.environ.items() if name != "PYTHON"}
        cases = [({}, ".venv/bin/python"), ({"PYTHON": "my/python"}, f"{folder}/recipes/my/python")]
        for more, named in cases:
            finished = subprocess.run(
                ["bash", f"{self.recipe}/run.sh", *words],
                cwd=folder / "recipes", env=without | more,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert finished.returncode == 2
            advice = "`make setup` creates .venv, or set PYTHON="
            assert finished.stderr == f"error: no program {named}; {advice}\n"
        assert not (folder / "runs").exists()

    def assert_helps(self, usage: str) -> None:
        """--help says how it is called, and shows no marks of a comment."""
        shown = self.run("--help")
        assert shown.returncode == 0
        assert usage in shown.stdout
        assert "PYTHON=" in shown.stdout
        assert "#" not in shown.stdout

    def _command(self, words: tuple[object, ...] | Words) -> list[str]:
        return ["bash", str(self.path), *map(str, words)]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHON": self.python, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program that does what python does, in forks of one that has imported everything.

    Starting a stage then takes milliseconds instead of seconds. It ends soon after its caller was
    killed, not with it: where a kill is what is tested, take the real one.
    """
    warm = Path(__file__).with_name("warm.py")
    program = tmp_path_factory.mktemp("warm") / "python"
    with tempfile.TemporaryDirectory(prefix="warm") as folder:  # a socket has a short path
        place = Path(folder) / "socket"
        server = [sys.executable, str(warm), "serve", str(place)]
        client = shlex.join([sys.executable, "-SE", str(warm), "ask", str(place)])
        direct = f'if [[ "$1 $2" == "-m recipes.stage" ]]; then exec {sys.executable} "$@"; fi'
        program.write_text(f'#!/usr/bin/env bash\n{direct}\nexec {client} "$@"\n')
        program.chmod(0o755)
        with subprocess.Popen(
            server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield program  # without us it reads an end, and ends


@pytest.fixture
def write_esc50() -> Callable[..., Path]:
    """Return what writes ten clips of so many seconds in the layout of ESC-50."""

    def write(root: Path, *, seconds: float) -> Path:
        rng = np.random.default_rng(0)
        frames = round(16_000 * seconds)
        (root / "meta").mkdir(parents=True)
        (root / "audio").mkdir()
        rows = ["filename,fold,category"]
        for i in range(10):
            tone = np.sin(2 * np.pi * (300 + 100 * i) * np.arange(frames) / 16_000)
            sound = 0.3 * tone + 0.05 * rng.standard_normal(frames)
            soundfile.write(root / "audio" / f"{i}.wav", sound, 16_000)
            rows.append(f"{i}.wav,{i % 5 + 1},{('dog', 'rain')[i // 5]}")
        (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
        return root

    return write


@pytest.fixture
def make_script() -> Callable[..., RunScript]:
    """Return what gives the run.sh of a recipe, for this Python or another program."""

    def make(recipe: str, *, python: Path | str = sys.executable) -> RunScript:
        return RunScript(recipe=recipe, python=str(python))

    return make
