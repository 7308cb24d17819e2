"""`make setup` with a stand-in for Python: what it asks for, what it skips, how it recovers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Writes down what it was asked; dies in the middle of an install while the file `kill` exists.
STAND_IN = """#!/usr/bin/env bash
echo "$*" >> calls
case "$1 $2" in
    "-c import sys"*) [[ ! -e too_old ]] ;;
    "--version "*) echo "Python 3.9.1" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m uv")
        if [[ $3 == --version ]]; then echo "uv 1.2.3 (here)"; fi
        if [[ $* == *--requirements* && -e kill ]]; then touch .venv/half && kill -9 $PPID; fi
        ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    for name in (".ci/venv.sh", "Makefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements.lock").write_text("torch==2.11.0\nuv==1.2.3\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.11").write_text(STAND_IN)
    (tmp_path / "bin/python3.11").chmod(0o755)
    return tmp_path


def make_setup(checkout: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{checkout / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    command = ["make", "setup"]
    if (checkout / "too_old").exists():
        command.append("BASE_PYTHON=python3.11")
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def test_installs_the_lock_then_the_project_without_network(checkout):
    done = make_setup(checkout)
    assert done.returncode == 0, done.stderr
    installs = [call for call in calls(checkout) if call.startswith("-m uv pip install")]
    assert len(installs) == 2
    assert installs[0].endswith("--requirements requirements.lock")
    assert installs[1].endswith("--offline --no-deps --no-build-isolation --editable .")
    assert (checkout / ".venv/.complete").exists()
    assert not (checkout / ".venv/.installing").exists()


def test_a_second_run_does_nothing_until_the_lock_changes(checkout):
    make_setup(checkout)
    before = calls(checkout)
    make_setup(checkout)
    assert calls(checkout) == before
    later = (checkout / ".venv/.complete").stat().st_mtime + 10
    os.utime(checkout / "requirements.lock", (later, later))
    make_setup(checkout)
    assert len(calls(checkout)) > len(before)


def test_a_killed_install_starts_over(checkout):
    (checkout / "kill").touch()
    assert make_setup(checkout).returncode != 0
    assert (checkout / ".venv/half").exists()
    assert not (checkout / ".venv/.complete").exists()
    (checkout / "kill").unlink()
    done = make_setup(checkout)
    assert done.returncode == 0, done.stderr
    assert "half made: starting over" in done.stderr
    assert not (checkout / ".venv/half").exists()
    assert (checkout / ".venv/.complete").exists()


def test_an_empty_environment_folder_is_filled(checkout):
    (checkout / ".venv").mkdir()
    assert make_setup(checkout).returncode == 0
    assert (checkout / ".venv/.complete").exists()


def test_the_wrong_python_is_named_in_one_line(checkout):
    (checkout / "too_old").touch()
    done = make_setup(checkout)
    assert done.returncode == 2
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(ours) == 1
    assert ours[0].startswith("error: Python 3.11 is needed")
    assert "saw python3.11: Python 3.9.1" in ours[0]


def test_ci_runs_the_command_of_the_readme():
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert "make test" in ci
    assert "make lint" in ci
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lock_pins_everything_and_names_no_address():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert all("==" in line and "/" not in line for line in lines)
    pins = dict(line.split("==") for line in lines)
    assert (pins["torch"], pins["torchaudio"], pins["torchvision"]) == (
        "2.11.0",
        "2.11.0",
        "0.26.0",
    )
