"""run.sh itself: from nothing to a table, killed on the way, and what it refuses."""

import fcntl
import json
import shutil

import pytest

from recipes.audiocaps_metrics.stand_in import make_stand_in, stand_in_id

WORDS = ["embedded", "--stand-in", 3, "--duration", 1, "--batch", 2, "--protocol", "demo"]
STAGES = ["check", "stand_in", "audit", "captions", "generate", "score", "table"]


@pytest.fixture
def script(make_script, warm_python):
    return make_script("audiocaps_metrics", python=warm_python)


def stages(run):
    return [json.loads(line)["stage"] for line in (run / "stages.jsonl").read_text().splitlines()]


def contents(run):
    kept = [*run.glob("generated/*.wav"), *run.glob("scores/*.json"), run / "choice.json"]
    return {path.name: path.read_bytes() for path in kept}


def test_killed_it_goes_on_to_the_table_and_a_second_run_scores_nothing(tmp_path, script):
    run = tmp_path / "run"
    script.kill_at([*WORDS, "--run", run], "5/7", later=2)
    assert not (run / "table.txt").exists()
    finished = script.run(*WORDS, "--run", run)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert stages(run)[-len(STAGES) :] == STAGES
    assert "this run: embedded  3 " in finished.stdout
    assert "(stand-in)" in finished.stdout
    assert "1.77" not in finished.stdout
    table = (run / "table.txt").read_text()
    assert "AudioGen medium v2 1.5B   not published  1.77   1.58   0.30" in table
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "https://" not in page
    assert "stand-in: not the AudioCaps test set" in page
    before = contents(run)
    next(run.glob("generated/*.wav")).unlink()
    again = script.run(*WORDS, "--run", run)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "scores/demo.json is there already" in again.stderr
    assert contents(run) == before


def test_given_sounds_are_scored_without_a_model_and_by_one_task(tmp_path, script):
    """Those given are the references of other clips: a distance, and not of zero."""
    data, given, run = tmp_path / "data", tmp_path / "given", tmp_path / "run"
    make_stand_in(data, count=3, seconds=1)
    names = [path.name for path in sorted((data / "audio").iterdir())]
    given.mkdir()
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        shutil.copy(data / "audio" / other, given / name)
    words = ["--csv", data / "test.csv", "--run", run, "--protocol", "demo"]
    finished = script.run("--generated", given, data / "audio", *words)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "this run: sounds given, model unknown  3 " in finished.stdout
    report = json.loads((run / "scores" / "demo.json").read_text())
    assert report["data"]["pairs"] == 3
    if shutil.which("flock") is None:
        pytest.skip("no flock here, so that several tasks may score")
    (run / "scores" / "demo.json").unlink()
    with (run / "scoring.lock").open() as lock:  # as a task has it that finished at that moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        beside = script.run("--generated", given, data / "audio", *words)
    assert (beside.returncode, beside.stdout.count("this run")) == (0, 0)
    assert beside.stderr.endswith("another task is scoring\n")
    assert not (run / "scores" / "demo.json").exists()


def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, make_script):
    script = make_script("audiocaps_metrics")
    for words, said in [
        ([], "name a model, or sounds with --generated"),
        (["embedded"], "name the folder of test audio"),
        (["embedded", "audio"], "--csv needs the test.csv"),
        (["embedded", "audio", "more", "--csv", "x"], "more is one word too many"),
        (["embedded", "--stand-in", 3, "audio"], "audio is one word too many"),
        (["--nonsense", "1"], "unknown argument --nonsense"),
        (["--protocol"], "--protocol needs a value"),
    ]:
        script.assert_refuses(words, said, run=tmp_path / "run")


def test_help_says_how_it_is_called(make_script):
    make_script("audiocaps_metrics").assert_helps("run.sh MODEL AUDIO_FOLDER --csv test.csv")


def test_ids_of_the_stand_in_are_the_awkward_ones():
    names = [stand_in_id(i) for i in range(200)]
    assert len(set(names)) == 200
    assert {len(name) for name in names} == {11}
    assert [names[0][:2], names[1][:1], names[2][:1]] == ["--", "-", "Y"]
