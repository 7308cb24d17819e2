"""What a run of the embedded model has to reach."""

import json

import pytest

from recipes.embedded.gates import EXPECTED, main, measure, outcomes_of
from recipes.gates import HOLDS, NOT_MEASURED, read_gates
from recipes.page.inputs import Run

LABELS = ("real", "roundtrip", "generated", "shuffled")


def write_run(folder, *, n=288, generated=0.9, own=0.8, size=1000):
    accuracies = dict(zip(LABELS, (1.0, 0.98, generated, 0.08), strict=True))
    scores = {
        "n": n,
        "probe": {"main": "family"},
        "sets": {k: {"labels": {"family": {"accuracy": v}}} for k, v in accuracies.items()},
        "classes": [{"rms_ratio": {"roundtrip": 0.9, "generated": 0.8}}],
        "codebooks": {"codebook_size": 256, "perplexity": [150.0, 120.0]},
    }
    (folder / "embedded").mkdir()
    (folder / "embedded" / "lm.safetensors").write_bytes(bytes(size))
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "prompts.json").write_text(json.dumps({"family": {"accuracy": own}}))
    history = folder / "train_lm" / "embedded_lm-1"
    history.mkdir(parents=True)
    rows = ["step,val/loss,val/loss_shuffled_captions", "10,3.0,3.3"]
    (history / "metrics.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_good_run_holds(tmp_path, capsys):
    run = write_run(tmp_path)
    assert {outcome.state for outcome in outcomes_of(Run(folder=run))} == {HOLDS}
    assert main(["--run", str(run)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith("checks of this run")
    assert len(lines) == len(read_gates(EXPECTED))


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"size": 8_000_001}, "megabytes"), ({"own": 0.3}, "own_words"),
     ({"generated": 0.3}, "generated_over_roundtrip")],
)  # fmt: skip
def test_each_gate_can_fail(tmp_path, changes, name):
    run = write_run(tmp_path, **changes)
    failing = [o.name for o in outcomes_of(Run(folder=run)) if o.state != HOLDS]
    assert name in failing
    assert main(["--run", str(run)]) == 1


def test_what_is_not_there_is_not_measured(tmp_path):
    values = measure(Run(folder=tmp_path))
    assert values["megabytes"] is values["own_words"] is None
    assert {o.state for o in outcomes_of(Run(folder=tmp_path))} == {NOT_MEASURED}
    assert main(["--run", str(tmp_path)]) == 1


def test_a_smoke_test_is_not_judged(tmp_path, capsys):
    assert main(["--run", str(write_run(tmp_path, n=12, generated=0.1))]) == 0
    assert "this was a smoke test" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_the_callers_mistake(tmp_path, capsys):
    assert main(["--run", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
