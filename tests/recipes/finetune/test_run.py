"""run.sh itself: own sounds to a page, what a second start skips, and what it refuses."""

import json
import shutil

import pytest

from audiogen.checkpoint import load_model
from recipes.finetune.gates import STAGES, outcomes_of
from recipes.page.inputs import Run


@pytest.fixture
def script(make_script):
    return make_script("finetune")


def stages_of(run):
    return [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]


def test_own_sounds_become_a_model_and_a_page(tmp_path, make_script, warm_python, base, own_sounds):
    script, run = make_script("finetune", python=warm_python), tmp_path / "run"
    words = ["--data", own_sounds, "--model", base, "--run", run, "--smoke"]
    finished = script.run(*words)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert [row["stage"] for row in stages_of(run)] == list(STAGES)
    assert "held-out clips come back with" in finished.stderr
    assert "parameters learn" in finished.stderr

    judged = json.loads((run / "judged.json").read_text())["own"]
    assert set(judged["nats"]) == {"before", "after"}
    assert json.loads((run / "forgetting.json").read_text())["other"]["moved"]["n"] == 10
    nearest = json.loads((run / "nearest" / "nearest.json").read_text())["samples"]
    assert len(nearest) == 3
    assert {path.name for path in (run / "nearest").glob("*.wav")} == {r["file"] for r in nearest}
    assert load_model(run / "model").lm.dim == 16
    assert (run / "model" / "adapter" / "adapter_config.json").is_file()
    card = json.loads((run / "model" / "config.json").read_text())["card"]
    assert card["licence"] == "base: CC0-1.0; fine-tuning: unknown"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 9
    assert "a stand-in" in page
    assert not any(outcome.binding for outcome in outcomes_of(Run(folder=run)))

    kept = [p for p in run.rglob("*") if p.is_file() and p.name not in ("report.html", "base.json")]
    kept = {p: p.stat().st_mtime_ns for p in kept if p.name not in ("stages.jsonl",)}
    made = ["judged.json", "forgetting.json", "model/config.json", "nearest/nearest.json"]
    again = script.run(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert all(kept[run / name] == (run / name).stat().st_mtime_ns for name in made)


def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, script, own_sounds):
    for words, said in [
        ([], "--data needs the folder"),
        (["--data", own_sounds], "--model needs the folder or hub id of a whole model"),
        (["--data", own_sounds, "--model", "x", "--method", "dora"], "experiment/finetune_dora"),
        (["--data", own_sounds, "--model", "x", "--keep", "0.5"], "--keep needs --known"),
        (["--nonsense"], "unknown argument --nonsense"),
    ]:
        script.assert_refuses(words, said, run=tmp_path / "run")


def test_too_few_or_broken_sounds_are_one_line(
    tmp_path, make_script, warm_python, base, own_sounds
):
    script = make_script("finetune", python=warm_python)
    one, broken = tmp_path / "one", tmp_path / "broken"
    one.mkdir()
    shutil.copy(next(own_sounds.rglob("*00.wav")), one)
    broken.mkdir()
    for number in range(3):
        (broken / f"{number}.wav").write_bytes(b"RIFF nothing")
    for data in (one, broken):
        run = tmp_path / f"run of {data.name}"
        finished = script.run("--data", data, "--model", base, "--run", run, "--smoke")
        assert finished.returncode == 2
        errors = [x for x in finished.stderr.splitlines() if x.startswith("error: ")]
        assert len(errors) == 1, finished.stderr
        assert stages_of(run)[-1]["stage"] == "data"
    words = ["--data", one, "--model", base, "--run", tmp_path / "run of one", "--smoke"]
    finished = script.run(*words, "--min-files", "9")
    assert finished.returncode == 2
    assert "at least 9 are needed" in finished.stderr


def test_help_says_how_it_is_called(script):
    script.assert_helps("run.sh --data FOLDER --model MODEL")
