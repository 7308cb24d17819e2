import json
from pathlib import Path

import pytest

from recipes.codec_16khz.gates import EXPECTED, EXPERIMENT, main, measure, outcomes_of
from recipes.gates import FAILS, HOLDS, NOT_MEASURED, all_hold, read_gates
from recipes.page.inputs import History, Run

ROOT = Path(__file__).parents[3]
BOOKS = [{"perplexity": 40.0, "efficiency": 0.9}, {"perplexity": 2.0, "efficiency": 0.7}]
FOUND = {
    "sounds": {"n": 25, "sources": ["esc50"]},
    "scores": {"si_sdr": 1.0, "mel_distance": 0.5, "level": -1.0},
    "health": {"codebooks": BOOKS},
    "classes": [{"level": -2.0}, {"level": 0.5}],
}
VALUES = (("val/si_sdr", (-2.0, 3.0)), ("val/mel_distance", (0.8, 0.4)))


def history(name=f"{EXPERIMENT}-1", values=VALUES):
    rows = [{"step": float(i), **{n: v[i] for n, v in values}} for i in range(2)]
    return History(run=name, finished=True, others=0, rows=rows)


def states(found, past):
    outcomes = outcomes_of(measure(found, None, past), found, past)
    return {outcome.name: outcome.state for outcome in outcomes if outcome.binding}


def test_measures_the_training_and_the_codec(tmp_path):
    rows = [{"stage": n, "seconds": 60, "bytes": 2e9, "exit": 0} for n in ("data", "codec")]
    (tmp_path / "stages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = measure(FOUND, Run(folder=tmp_path), history())
    assert measured == {
        "clips": 25,
        "si_sdr_rise": 5.0,
        "mel_fall": 0.5,
        "si_sdr": 1.0,
        "mel_distance": 0.5,
        "level": -1.0,
        "quietest_level": -2.0,
        "dead_codebooks": 0,
        "lowest_efficiency": 0.7,
        "wall_seconds": 120,
        "peak_bytes": 2e9,
    }


def test_what_is_promised_is_gated():
    gates = {gate["name"]: gate for gate in read_gates(EXPECTED)}
    assert gates["si_sdr_rise"]["at_least"] > 0
    assert gates["mel_fall"]["at_most"] < 1
    assert gates["dead_codebooks"]["at_most"] == 0
    assert gates.keys() <= measure(FOUND, None, None).keys()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("si_sdr_rise", {"past": (("val/si_sdr", (3.0, 2.0)), VALUES[1])}),
        ("mel_fall", {"past": (VALUES[0], ("val/mel_distance", (0.4, 0.5)))}),
        ("dead_codebooks", {"books": [BOOKS[0], {"perplexity": 1.9, "efficiency": 0.7}]}),
    ],
)
def test_a_run_that_got_worse_fails(name, changes):
    found = FOUND | {"health": {"codebooks": changes.get("books", BOOKS)}}
    past = history(values=changes.get("past", VALUES))
    assert states(found, past)[name] == FAILS


def test_one_validation_is_no_rise():
    past = History(run=f"{EXPERIMENT}-1", finished=False, others=0, rows=history().rows[:1])
    assert states(FOUND, past)["si_sdr_rise"] == NOT_MEASURED


@pytest.mark.parametrize(
    ("name", "sources"),
    [("demo_codec-1", ["esc50"]), (f"{EXPERIMENT}-1", ["mine"]), (f"{EXPERIMENT}-1", ["a", "b"])],
)
def test_other_settings_or_sounds_are_not_judged(name, sources):
    found = FOUND | {"sounds": {"n": 25, "sources": sources}}
    assert states(found, history(name)) == {}
    assert not all_hold(outcomes_of(measure(found, None, history(name)), found, history(name)))


def write_run(folder, *, name=f"{EXPERIMENT}-1", ends=(-2.0, 3.0)):
    training = folder / "train_codec" / name
    training.mkdir(parents=True)
    lines = [f"{i},{ends[i]},{(0.8, 0.4)[i]}" for i in range(2)]
    text = "step,val/si_sdr,val/mel_distance\n" + "\n".join(lines) + "\n"
    (training / "metrics.csv").write_text(text)
    (folder / "health").mkdir()
    books = [{"perplexity": 90.0, "efficiency": 0.9}]
    (folder / "health" / "health.json").write_text(
        json.dumps(FOUND | {"health": {"codebooks": books}})
    )
    rows = [{"stage": n, "seconds": 1, "bytes": 10**9, "exit": 0} for n in ("data", "codec")]
    (folder / "stages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_command(tmp_path, capsys):
    write_run(tmp_path / "good")
    assert main(["--run", str(tmp_path / "good")]) == 0
    assert HOLDS in capsys.readouterr().out
    write_run(tmp_path / "bad", ends=(3.0, -2.0))
    assert main(["--run", str(tmp_path / "bad")]) == 1
    write_run(tmp_path / "other", name="demo_codec-1")
    assert main(["--run", str(tmp_path / "other")]) == 0
    shown = capsys.readouterr()
    assert "not binding" in shown.out
    assert "nothing binds other sounds or settings than ESC-50" in shown.err


def test_no_run_or_a_damaged_one_is_one_line(tmp_path, capsys):
    assert main(["--run", str(tmp_path)]) == 2
    assert "health/health.json is not in the run folder" in capsys.readouterr().err
    write_run(tmp_path / "run")
    (tmp_path / "run" / "health" / "health.json").write_text("{}")
    assert main(["--run", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
