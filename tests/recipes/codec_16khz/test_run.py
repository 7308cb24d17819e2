"""run.sh itself, a few steps on a few clips: killed, started again, and what it skips."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.codec_16khz.health import main as health

ROOT = Path(__file__).parents[3]


def command(*words: object) -> list[str]:
    return ["bash", str(ROOT / "recipes/codec_16khz/run.sh"), *map(str, words)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def run_sh(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment(), capture_output=True, text=True, check=False
    )


def write_esc50(root: Path) -> None:
    """Ten clips in the layout of ESC-50."""
    rng = np.random.default_rng(0)
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    rows = ["filename,fold,category"]
    for i in range(10):
        tone = np.sin(2 * np.pi * (300 + 100 * i) * np.arange(8000) / 16_000)
        sound = 0.3 * tone + 0.05 * rng.standard_normal(8000)
        soundfile.write(root / "audio" / f"{i}.wav", sound, 16_000)
        rows.append(f"{i}.wav,{i % 5 + 1},{('dog', 'rain')[i // 5]}")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def kill_at(run: Path, words: list[object], title: str) -> None:
    """Start run.sh, and SIGKILL all of it when a stage begins."""
    with subprocess.Popen(
        command(*words), env=environment(), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if f"== {title}" in line:
                break
        os.killpg(process.pid, signal.SIGKILL)


def test_killed_before_the_last_stage_it_goes_on_with_that_one(tmp_path):
    write_esc50(tmp_path / "ESC-50-master")
    run = tmp_path / "run"
    words = ["--data", tmp_path / "ESC-50-master", "--run", run, "--smoke"]
    words += ["--experiment", "demo_codec"]
    kill_at(run, words, "3/3")
    made = [run / "codec/codec.safetensors", *run.glob("data/audio/*")]
    made += run.glob("train_codec/*/metrics.csv")
    assert len(made) == 12
    before = [path.stat().st_mtime_ns for path in made]
    finished = run_sh(*words)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in made] == before
    found = json.loads((run / "health/health.json").read_text())
    assert (found["sounds"]["n"], found["sounds"]["sources"]) == (2, ["esc50"])
    assert [row["name"] for row in sorted(found["classes"], key=lambda r: r["name"])] == [
        "dog", "rain",
    ]  # fmt: skip
    card = json.loads((run / "codec" / "config.json").read_text())["card"]
    assert card["licence"] == "CC BY-NC 3.0"
    stages = [json.loads(line)["stage"] for line in (run / "stages.jsonl").read_text().splitlines()]
    assert stages == ["data", "codec", "data", "codec", "health"]
    page = (run / "health" / "health.html").read_text(encoding="utf-8")
    assert "train the codec" in page  # with what the stages took
    written = (run / "health" / "health.html").stat().st_mtime_ns
    again = ["--codec", run / "codec", "--manifest", run / "data/manifest.jsonl"]
    again += ["--run", run, "--out", run / "health"]
    assert health([str(word) for word in again]) == 0  # as run.sh calls it
    assert (run / "health" / "health.html").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "unknown argument --nonsense"),
        ([], "--data needs the folder of ESC-50"),
        (["--data"], "--data needs a value"),
        (["--data", "x", "--experiment", "none"], "no conf/experiment/none.yaml"),
        (["--data", "no/such/folder", "--experiment", "demo_codec"], "no/such/folder"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, words, said):
    finished = run_sh("--run", tmp_path / "run", *words)
    assert finished.returncode == 2
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "run" / "data").exists()


def test_without_its_python_it_says_what_to_do(tmp_path):
    """In a fresh checkout, and with PYTHON= a path of the caller that is not there."""
    script = tmp_path / "recipes" / "codec_16khz" / "run.sh"
    script.parent.mkdir(parents=True)
    for file in ("codec_16khz/run.sh", "run.bash"):
        (tmp_path / "recipes" / file).write_bytes((ROOT / "recipes" / file).read_bytes())
    experiment = tmp_path / "conf" / "experiment" / "codec_16khz_cpu.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.touch()
    without = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    cases = [({}, ".venv/bin/python"), ({"PYTHON": "my/python"}, f"{tmp_path}/recipes/my/python")]
    for more, named in cases:
        finished = subprocess.run(
            ["bash", "codec_16khz/run.sh", "--data", "x"],
            cwd=tmp_path / "recipes", env=without | more,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 2
        advice = "`make setup` creates .venv, or set PYTHON="
        assert finished.stderr == f"error: no program {named}; {advice}\n"
    assert not (tmp_path / "runs").exists()


def test_help_says_how_it_is_called():
    shown = run_sh("--help")
    assert shown.returncode == 0
    assert "PYTHON=" in shown.stdout
    assert "run.sh --data ESC-50-master [--run runs/codec_16khz] [--seed 2036]" in shown.stdout
    assert "#" not in shown.stdout
