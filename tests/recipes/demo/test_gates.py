import json
import math

import pytest

from recipes.demo.gates import EXPECTED, main, measure, measure_scores
from recipes.gates import FAILS, HOLDS, NOT_MEASURED, all_hold, check, read_gates
from recipes.page.inputs import RECORDINGS, SYNTHETIC, Run

GOOD = {
    "clips": 288,
    "probe_on_real": 1.0,
    "roundtrip_over_real": 0.73,
    "generated_over_roundtrip": 0.74,
    "generated_over_floor": 6.0,
    "caption_nats": 0.14,
    "codebook_perplexity_share": 0.4,
    "family_rms_roundtrip": 0.3,
    "family_rms_generated": 0.2,
    "wall_seconds": 660.0,
    "peak_bytes": 1.8e9,
}
BOUNDS = {  # the lowest, or for the last two the highest, value that holds
    "clips": 240,
    "probe_on_real": 0.95,
    "roundtrip_over_real": 0.60,
    "generated_over_roundtrip": 0.50,
    "generated_over_floor": 3,
    "caption_nats": 0.08,
    "codebook_perplexity_share": 0.25,
    "family_rms_roundtrip": 0.10,
    "family_rms_generated": 0.10,
    "wall_seconds": 720,
    "peak_bytes": 4e9,
}
HIGHEST = ("wall_seconds", "peak_bytes")


def states(measured, sounds=SYNTHETIC):
    outcomes = check(measured, read_gates(EXPECTED), sounds=sounds)
    return {outcome.name: outcome.state for outcome in outcomes if outcome.binding}


def test_good_run_holds():
    assert set(states(GOOD).values()) == {HOLDS}
    assert all_hold(check(GOOD, read_gates(EXPECTED), sounds=SYNTHETIC))


@pytest.mark.parametrize("name", BOUNDS)
def test_each_gate_stands_where_it_was_agreed(name):
    bound = BOUNDS[name]
    beyond = bound * (1.001 if name in HIGHEST else 0.999)
    assert states(GOOD | {name: bound})[name] == HOLDS
    assert states(GOOD | {name: beyond})[name] == FAILS
    assert not all_hold(check(GOOD | {name: beyond}, read_gates(EXPECTED), sounds=SYNTHETIC))


@pytest.mark.parametrize("value", [None, math.nan])
def test_not_measured_never_holds(value):
    for name in GOOD:
        outcomes = check(GOOD | {name: value}, read_gates(EXPECTED), sounds=SYNTHETIC)
        found = next(outcome for outcome in outcomes if outcome.name == name)
        assert (found.state, found.reached) == (NOT_MEASURED, NOT_MEASURED)
        assert not all_hold(outcomes)
    assert set(states({}).values()) == {NOT_MEASURED}


def test_rounding_does_not_hide_a_failure():
    outcomes = check(GOOD | {"probe_on_real": 0.94999}, read_gates(EXPECTED), sounds=SYNTHETIC)
    found = next(outcome for outcome in outcomes if outcome.name == "probe_on_real")
    assert found.expected == "≥ 0.950"
    assert (found.state, found.reached) == (FAILS, "0.94999")


def test_recordings_are_bound_by_time_alone_and_show_what_was_measured():
    measured = dict.fromkeys(GOOD) | {"codebook_perplexity_share": 0.1, "wall_seconds": 1199.0}
    outcomes = check(measured, read_gates(EXPECTED), sounds=RECORDINGS)
    assert [(o.name, o.binding, o.state) for o in outcomes] == [
        ("codebook_perplexity_share", False, FAILS),
        ("wall_seconds", True, HOLDS),
    ]
    assert all_hold(outcomes)
    assert states(measured | {"wall_seconds": 1201.0}, RECORDINGS) == {"wall_seconds": FAILS}


def test_nothing_binding_is_not_a_pass():
    assert not all_hold([])


def scores(**accuracies):
    sets = {name: {"labels": {"family": {"accuracy": a}}} for name, a in accuracies.items()}
    return {"n": 300, "probe": {"main": "family"}, "sets": sets}


def test_ratios():
    values = measure_scores(scores(real=0.8, roundtrip=0.4, generated=0.3, shuffled=0.1))
    assert values["probe_on_real"] == 0.8
    assert values["roundtrip_over_real"] == pytest.approx(0.5)
    assert values["generated_over_roundtrip"] == pytest.approx(0.75)
    assert values["generated_over_floor"] == pytest.approx(3.0)


def test_ratio_over_zero():
    assert measure_scores(scores(generated=0.3, shuffled=0.0))["generated_over_floor"] == math.inf
    assert measure_scores(scores(generated=0.0, shuffled=0.0))["generated_over_floor"] is None
    assert states(GOOD | {"generated_over_floor": math.inf})["generated_over_floor"] == HOLDS


def test_the_worst_counts_and_a_gap_is_not_passed_over():
    rows = [{"rms_ratio": {"roundtrip": r, "generated": g}} for r, g in ((0.9, 0.5), (0.2, None))]
    books = {"codebook_size": 100, "perplexity": [60.0, 24.0], "usage": [1.0, 1.0]}
    values = measure_scores({"classes": rows, "codebooks": books})
    assert values["family_rms_roundtrip"] == 0.2
    assert values["family_rms_generated"] is None
    assert values["codebook_perplexity_share"] == pytest.approx(0.24)
    assert values["clips"] is None


def test_measures_a_run(synthetic_run):
    values = measure(synthetic_run)
    assert values["caption_nats"] == pytest.approx(0.15)
    assert values["wall_seconds"] == pytest.approx(90.0)
    assert values["peak_bytes"] == 10**9
    assert values["clips"] == 12
    assert values["codebook_perplexity_share"] == pytest.approx(40 / 128)
    assert values["family_rms_roundtrip"] == pytest.approx(0.5, abs=0.01)
    assert values["family_rms_generated"] == pytest.approx(0.25, abs=0.01)


def test_measures_nothing_in_an_empty_folder(tmp_path):
    assert set(measure(Run(folder=tmp_path)).values()) == {None}


def test_command(synthetic_run, tmp_path, capsys):
    assert main(["--run", str(synthetic_run.folder)]) == 1  # 12 clips are too few
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12  # with a heading
    assert "12" in lines[1]
    assert lines[1].endswith(FAILS)
    assert main(["--run", str(tmp_path)]) == 1
    assert NOT_MEASURED in capsys.readouterr().out
    assert main(["--run", str(tmp_path / "none")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_command_passes_a_run_that_reached_all(tmp_path, monkeypatch):
    monkeypatch.setattr("recipes.demo.gates.measure", lambda run: GOOD)
    assert main(["--run", str(tmp_path)]) == 0


def test_damaged_scores_are_not_measured(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps([1, 2]))
    assert measure(Run(folder=tmp_path))["probe_on_real"] is None
