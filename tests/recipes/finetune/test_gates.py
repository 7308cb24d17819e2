import json

import numpy as np
import pytest

from recipes.audiogen_cpu.held_out import NONE, OWN, Clip, Costs
from recipes.finetune.forgetting import record
from recipes.finetune.gates import EXPECTED, EXPERIMENT, STAGES, main, measure, outcomes_of
from recipes.finetune.judge import BASE, SOUNDS, compare
from recipes.gates import FAILS, HOLDS, read_gates
from recipes.page.inputs import MissingInputError, Run


def judged(gain: float, *, source: str = "esc50") -> dict:
    """Twenty clips that cost so much less after."""
    clips = [Clip(id=f"c{i}", caption="rain", group="") for i in range(20)]
    rng = np.random.default_rng(0)
    own = rng.normal(3.5, 0.3, size=(20, 2))
    after = own - gain + rng.normal(0, 0.01, size=(20, 2))
    pair = [
        Costs(clips=clips, codebooks={OWN: x, NONE: x + 0.1 + own / 100}, frames={})
        for x in (own, after)
    ]
    return compare(*pair) | {"codebook_size": 16, "sources": [source], "licences": ["CC0-1.0"]}


def write_run(folder, *, gain=0.3, forgotten=0.01, moved=0.01, alarm=False, source="esc50"):
    training = folder / "train_lm" / f"{EXPERIMENT}-1"
    training.mkdir(parents=True)
    (training / "metrics.csv").write_text("step,val/loss\n1,3.0\n")
    results = {SOUNDS: judged(gain, source=source), BASE: judged(-forgotten)}
    (folder / "judged.json").write_text(json.dumps(results))
    rows = [{"prompt": str(i), "moved": moved + i / 1e4, "without_caption": 0.1} for i in range(9)]
    (folder / "forgetting.json").write_text(json.dumps(record({"own": rows, "other": rows})))
    (folder / "nearest").mkdir()
    samples = [{"alarm": alarm}, {"alarm": False}]
    (folder / "nearest" / "nearest.json").write_text(json.dumps({"samples": samples}))
    times = [{"stage": n, "seconds": 10, "bytes": 10**9, "exit": 0} for n in STAGES]
    (folder / "stages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in times))
    return folder


def test_measures_what_the_gates_are_about(tmp_path):
    run = Run(folder=write_run(tmp_path))
    files = [json.loads((tmp_path / n).read_text())
             for n in ("judged.json", "forgetting.json", "nearest/nearest.json")]  # fmt: skip
    measured = measure(run, *files)
    assert measured["clips"] == 20
    assert measured["gain"] == pytest.approx(0.3, abs=0.01)
    assert 0 < measured["gain_low"] < measured["gain"]
    assert measured["forgotten"] == pytest.approx(0.01, abs=0.01)
    assert measured["moved_elsewhere"] == pytest.approx(0.0104)
    assert measured["wall_seconds"] == 10 * len(STAGES)
    assert {gate["name"] for gate in read_gates(EXPECTED)} == measured.keys()


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, set()),
        ({"gain": -0.1}, {"gain_low", "gain"}),
        ({"forgotten": 1.0}, {"forgotten"}),
        ({"moved": 1.0}, {"moved_elsewhere"}),
    ],
)
def test_a_run_that_learns_nothing_or_forgets_fails(tmp_path, changes, failing):
    run = write_run(tmp_path, **changes)
    states = {o.name: o.state for o in outcomes_of(Run(folder=run)) if o.binding}
    assert {name for name, state in states.items() if state == FAILS} == failing
    assert {state for name, state in states.items() if name not in failing} == {HOLDS}
    assert main(["--run", str(run)]) == bool(failing)


def test_other_sounds_are_bound_by_nothing(tmp_path, capsys):
    run = write_run(tmp_path, gain=-1.0, source="my sounds")
    assert main(["--run", str(run)]) == 0
    assert "nothing binds" in capsys.readouterr().err


def test_damaged_results_are_said(tmp_path):
    run = write_run(tmp_path)
    (run / "forgetting.json").write_text("{}")
    with pytest.raises(MissingInputError, match="its results are damaged"):
        outcomes_of(Run(folder=run))
    assert main(["--run", str(tmp_path / "none")]) == 2
