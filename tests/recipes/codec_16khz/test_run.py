"""run.sh itself, a few steps on a few clips: killed, started again, and what it skips."""

import json

import pytest

from recipes.codec_16khz.health import main as health


@pytest.fixture
def script(make_script):
    return make_script("codec_16khz")


def test_killed_before_the_last_stage_it_goes_on_with_that_one(tmp_path, script, write_esc50):
    run, data = tmp_path / "run", write_esc50(tmp_path / "ESC-50-master", seconds=0.5)
    words = ["--data", data, "--run", run, "--smoke", "--experiment", "demo_codec"]
    script.kill_at(words, "3/3")
    made = [run / "codec/codec.safetensors", *run.glob("data/audio/*")]
    made += run.glob("train_codec/*/metrics.csv")
    assert len(made) == 12
    before = [path.stat().st_mtime_ns for path in made]
    finished = script.run(*words)
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
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, script, words, said):
    script.assert_refuses(words, said, run=tmp_path / "run")


def test_without_its_python_it_says_what_to_do(tmp_path, script):
    script.assert_names_a_missing_python(tmp_path, "--data", "x")


def test_help_says_how_it_is_called(script):
    script.assert_helps("run.sh --data ESC-50-master [--run runs/codec_16khz] [--seed 2036]")
