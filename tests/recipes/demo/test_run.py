"""The demo itself, a few steps per stage: from nothing to a report, twice, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[3]
STAGES = ["data", "codec", "tokens", "lm", "samples", "probe", "evaluation", "report"]


def command(run: Path, *extra: str) -> list[str]:
    return ["bash", str(ROOT / "recipes/demo/run.sh"), "--run", str(run), "--smoke", *extra]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def demo(run: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(run, *extra), env=environment(), capture_output=True, text=True, check=False
    )


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]


def written(run: Path) -> dict[str, int]:
    """When each result of a stage was written, in nanoseconds."""
    files = [run / "scores.json", run / "data/manifest.jsonl"]
    for pattern in ("tokens/*.npy", "*/*.safetensors", "samples/*/*.wav", "train_*/*/done.json"):
        files += run.glob(pattern)
    return {str(file.relative_to(run)): file.stat().st_mtime_ns for file in files}


def kill_during(run: Path, stage: str) -> None:
    """Start the demo, and SIGKILL all of it shortly after a stage has begun."""
    title = {"codec": "2/8", "lm": "4/8"}[stage]
    with subprocess.Popen(
        command(run), env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if f"== {title}" in line:
                break
        time.sleep(3)
        os.killpg(process.pid, signal.SIGKILL)


def test_killed_demo_goes_on_to_the_report_and_a_second_run_skips(tmp_path):
    run = tmp_path / "demo"
    kill_during(run, "codec")
    assert not (run / "report.html").exists()
    kill_during(run, "lm")
    finished = demo(run)
    assert finished.returncode == 0, finished.stderr[-3000:]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page.replace("https://www.w3.org", "")
    assert "stand-in" in page
    card = json.loads((run / "model" / "config.json").read_text())["card"]
    assert card["licence"] == "CC0-1.0"
    scores = json.loads((run / "scores.json").read_text())
    assert scores["n"] == 12
    assert {row["stage"] for row in rows(run)} >= set(STAGES)
    before = written(run)
    again = demo(run)
    assert again.returncode == 0, again.stderr[-3000:]
    assert written(run) == before


def test_ten_sounds_of_ones_own(tmp_path):
    """No captions, no labels, other rates, one broken file: the road still ends in a report."""
    rng = np.random.default_rng(0)
    sounds = tmp_path / "my sounds"
    sounds.mkdir()
    for i in range(10):
        rate = (44_100, 48_000)[i % 2]
        soundfile.write(sounds / f"door_slam-{i:02d}.wav", 0.1 * rng.standard_normal(rate), rate)
    (sounds / "broken.wav").write_bytes(b"RIFF1234WAVEfmt ")
    finished = demo(tmp_path / "run", "--data", str(sounds))
    assert finished.returncode == 0, finished.stderr[-3000:]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "broken.wav" in page
    assert "door slam" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "unknown argument --nonsense"),
        (["--data", "no/such/folder"], "no/such"),
        (["--seed"], "--seed needs a value"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, arguments, said):
    finished = demo(tmp_path / "run", *arguments)
    assert finished.returncode == 2
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "run" / "data").exists()


def test_without_its_python_it_says_what_to_do(tmp_path):
    """In a fresh checkout, and with PYTHON= a path of the caller that is not there."""
    script = tmp_path / "recipes" / "demo" / "run.sh"
    script.parent.mkdir(parents=True)
    for file in ("demo/run.sh", "run.bash"):
        (tmp_path / "recipes" / file).write_bytes((ROOT / "recipes" / file).read_bytes())
    without = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    cases = [({}, ".venv/bin/python"), ({"PYTHON": "my/python"}, f"{tmp_path}/recipes/my/python")]
    for more, named in cases:
        finished = subprocess.run(
            ["bash", "demo/run.sh"],
            cwd=tmp_path / "recipes", env=without | more,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 2
        advice = "`make setup` creates .venv, or set PYTHON="
        assert finished.stderr == f"error: no program {named}; {advice}\n"
    assert not (tmp_path / "runs").exists()


def test_help_says_how_it_is_called():
    shown = subprocess.run(
        ["bash", str(ROOT / "recipes/demo/run.sh"), "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0
    assert "PYTHON=" in shown.stdout
    assert "run.sh [--run runs/demo] [--data FOLDER] [--seed 2036] [--smoke]" in shown.stdout
    assert "#" not in shown.stdout
