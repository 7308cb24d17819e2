"""Sounds are made in shares, as AudioCraft samples, and counted before anybody scores them."""

import json
import sys

import pytest

from recipes.audiocaps_metrics.generate import SAMPLING, main
from recipes.audiocaps_metrics.made import sounds_made


@pytest.fixture
def python(warm_python, monkeypatch):
    """What `generate` starts is a fork of a program that has imported everything."""
    monkeypatch.setattr(sys, "executable", str(warm_python))
    for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)


def call(run, *words):
    fixed = ["--run", run, "--model", "embedded", "--duration", 1, "--batch", 2]
    return main([str(word) for word in [*fixed, *words]])


def sounds(run):
    return {path.name: path.read_bytes() for path in (run / "generated").glob("*.wav")}


def test_two_tasks_make_it_together_and_the_last_one_says_so(python, chosen, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    for task, said in (("0", "2 of 3 sounds are there"), ("1", "all 3 sounds are there")):
        monkeypatch.setenv("SLURM_PROCID", task)
        assert not (chosen / "generated.json").exists()
        assert call(chosen) == 0
        assert said in capsys.readouterr().err
    whole = sounds(chosen)
    found = json.loads((chosen / "generated.json").read_text())
    assert (found["sounds"], found["missing"], found["model"]) == (3, 0, "embedded")
    assert found["settings"] == SAMPLING | {"duration": 1.0, "batch_size": 2}

    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    next(iter((chosen / "generated").glob("*.wav"))).unlink()
    (chosen / "generated.json").unlink()
    assert call(chosen, "--processes", 2) == 0
    assert sounds(chosen) == whole
    assert (chosen / "generated.json").is_file()


def test_a_model_that_is_not_there_is_found_before_anything_is_done(tmp_path, capsys):
    run = tmp_path / "nothing is here yet"
    assert call(run, "--check") == 0
    for name in ("embedd", "nobody/nothing"):  # no test asks the hub
        assert call(run, "--check", "--model", name) == 2
        assert name in capsys.readouterr().err
    assert not run.exists()


def test_a_process_that_fails_shows_its_last_words(python, chosen, capfd):
    assert call(chosen, "--model", chosen / "nowhere", "--processes", 2) == 2
    said = capfd.readouterr().err
    assert "nowhere" in said
    assert "generation ended with exit code 2" in said
    assert not (chosen / "generated.json").exists()


def test_sounds_of_two_ways_are_not_taken_for_one(chosen):
    folder = chosen / "generated"
    folder.mkdir()
    for row, top_k in zip(
        (chosen / "prompts.jsonl").read_text().splitlines(), (1, 2, 2), strict=True
    ):
        name = json.loads(row)["id"]
        (folder / f"{name}.wav").write_bytes(b"")
        record = {"file": f"{name}.wav", "settings": {"top_k": top_k}}
        (folder / f"{name}.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="made in 2 ways"):
        sounds_made(chosen)


def test_mistakes_are_one_line(chosen, tmp_path, capsys, monkeypatch):
    for words, said in [
        (["--processes", "0"], "must be above 0"),
        (["--duration", "nan"], "must be above 0"),
        (["--run", str(tmp_path / "none")], "captions are not chosen yet"),
    ]:
        assert call(chosen, *words) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "x")
    assert call(chosen) == 2
    assert "SLURM_ARRAY_TASK" in capsys.readouterr().err
