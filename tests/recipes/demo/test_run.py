"""The demo itself, a few steps per stage: from nothing to a report, twice, and after a kill."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

STAGES = ["data", "codec", "tokens", "lm", "samples", "probe", "evaluation", "report"]


@pytest.fixture
def script(make_script):
    return make_script("demo")


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]


def written(run: Path) -> dict[str, int]:
    """When each result of a stage was written, in nanoseconds."""
    files = [run / "scores.json", run / "data/manifest.jsonl"]
    for pattern in ("tokens/*.npy", "*/*.safetensors", "samples/*/*.wav", "train_*/*/done.json"):
        files += run.glob(pattern)
    return {str(file.relative_to(run)): file.stat().st_mtime_ns for file in files}


def test_killed_demo_goes_on_to_the_report_and_a_second_run_skips(tmp_path, script):
    run = tmp_path / "demo"
    words = ["--run", run, "--smoke"]
    script.kill_at(words, "2/8", later=3)
    assert not (run / "report.html").exists()
    script.kill_at(words, "4/8", later=3)
    finished = script.run(*words)
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
    again = script.run(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert written(run) == before


def test_ten_sounds_of_ones_own(tmp_path, make_script, warm_python):
    """No captions, no labels, other rates, one broken file: the road still ends in a report."""
    rng = np.random.default_rng(0)
    sounds = tmp_path / "my sounds"
    sounds.mkdir()
    for i in range(10):
        rate = (44_100, 48_000)[i % 2]
        soundfile.write(sounds / f"door_slam-{i:02d}.wav", 0.1 * rng.standard_normal(rate), rate)
    (sounds / "broken.wav").write_bytes(b"RIFF1234WAVEfmt ")
    script = make_script("demo", python=warm_python)
    finished = script.run("--run", tmp_path / "run", "--smoke", "--data", sounds)
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
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, script, arguments, said):
    script.assert_refuses(["--smoke", *arguments], said, run=tmp_path / "run")


def test_without_its_python_it_says_what_to_do(tmp_path, script):
    script.assert_names_a_missing_python(tmp_path)


def test_help_says_how_it_is_called(script):
    script.assert_helps("run.sh [--run runs/demo] [--data FOLDER] [--seed 2036] [--smoke]")
