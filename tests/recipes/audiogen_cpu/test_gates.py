import json
import math

import pytest

from recipes.audiogen_cpu.gates import EXPECTED, EXPERIMENT, STAGES, main, measure, outcomes_of
from recipes.gates import FAILS, HOLDS, NOT_MEASURED, all_hold, read_gates
from recipes.page.inputs import Run


def states(folder):
    return {o.name: o.state for o in outcomes_of(Run(folder=folder)) if o.binding}


def test_measures_what_the_gates_are_about(tmp_path, write_run, make_judged):
    run = Run(folder=write_run(tmp_path / "run", losses=(4.0, 2.5, 3.0)))
    found = make_judged()
    measured = measure(run, found, run.history("train_lm", stage="lm"))
    assert measured["clips"] == 24
    assert measured["no_caption"] == found["gains"]["no_caption"]["nats"] > 0
    assert measured["shuffled_low"] == found["gains"]["shuffled"]["low"] > 0
    assert measured["below_uniform"] == pytest.approx(math.log(256) - found["nats"]["caption"])
    assert measured["overfit"] == 0.5
    assert measured["wall_seconds"] == 60 * (len(STAGES) - 1)  # without the codec's training
    assert measured["peak_bytes"] == 10**9
    assert {gate["name"] for gate in read_gates(EXPECTED)} == measured.keys()


def test_what_is_promised_is_gated():
    gates = {gate["name"]: gate for gate in read_gates(EXPECTED)}
    assert gates["no_caption"]["at_least"] >= 0
    assert gates["shuffled_low"]["at_least"] >= 0


@pytest.mark.parametrize(
    ("name", "changes", "state"),
    [
        ("no_caption", {"worth": -0.05}, FAILS),
        ("shuffled_low", {"worth": -0.1}, FAILS),
        ("clips", {"n": 5}, FAILS),
        ("below_uniform", {"codebook_size": 16}, FAILS),
        ("clips", {}, HOLDS),
    ],
)
def test_a_run_that_misses_one_fails(tmp_path, write_run, make_judged, name, changes, state):
    assert states(write_run(tmp_path / "run", found=make_judged(**changes)))[name] == state


def test_too_few_clips_for_an_interval_are_not_measured(tmp_path, write_run, make_judged):
    found = make_judged()
    found["gains"]["shuffled"]["low"] = None
    assert states(write_run(tmp_path / "run", found=found))["shuffled_low"] == NOT_MEASURED


@pytest.mark.parametrize(
    ("name", "sources"),
    [("demo_lm-1", ["esc50"]), (f"{EXPERIMENT}-1", ["mine"]), (f"{EXPERIMENT}-1", ["a", "esc50"])],
)
def test_other_settings_or_sounds_are_not_judged(tmp_path, write_run, make_judged, name, sources):
    run = write_run(tmp_path / "run", name=name, found=make_judged(sources=sources))
    assert states(run) == {}
    assert not all_hold(outcomes_of(Run(folder=run)))


def test_command(tmp_path, capsys, write_run, make_judged):
    assert main(["--run", str(write_run(tmp_path / "good"))]) == 0
    bad = write_run(tmp_path / "bad", found=make_judged(worth=-0.1))
    assert main(["--run", str(bad)]) == 1
    other = write_run(tmp_path / "other", found=make_judged(sources=["mine"]))
    assert main(["--run", str(other)]) == 0
    assert "nothing binds other sounds or settings than ESC-50" in capsys.readouterr().err


def test_no_run_or_a_damaged_one_is_one_line(tmp_path, capsys, write_run):
    assert main(["--run", str(tmp_path)]) == 2
    assert "judged/test.json is not in the run folder" in capsys.readouterr().err
    run = write_run(tmp_path / "run")
    (run / "judged" / "test.json").write_text(json.dumps({"n": 3}))
    assert main(["--run", str(run)]) == 2
    assert "judged/test.json is damaged" in capsys.readouterr().err
