"""A run that is killed and started again is the run that was never killed."""

import random
import signal
from pathlib import Path

import pytest
import torch

from .conftest import CODEC, LM, Starter, history, run_folder

STEPS = 14
SCHEDULE = [f"trainer.max_steps={STEPS}", "trainer.val_check_interval=4", "checkpoint_every=3"]
RUNS = {
    # With adversary, averaged weights, warm-up without quantization, k-means and restarts.
    "codec": ("train_codec.py", [*CODEC, "module.warmup_steps=3", *SCHEDULE]),
    # In bfloat16, in parts, with a discriminator that learns in two of three updates.
    "codec in parts": (
        "train_codec.py",
        [
            *CODEC,
            "trainer.precision=bf16-mixed",
            "module.accumulate=2",
            "adversarial.every=1.5",
            "codec.dead_code_threshold=0.9",
            *SCHEDULE,
        ],
    ),
    # With dropout from the global stream, dropped captions and averaged weights.
    "lm": ("train_lm.py", [*LM, "lm.dropout=0.2", "module.condition_dropout=0.3", *SCHEDULE]),
}


@pytest.mark.parametrize("stage", RUNS)
def test_killed_run_equals_undisturbed_run(stage: str, scripts: Starter, tmp_path: Path):
    script, overrides = RUNS[stage]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert scripts.run(script, *overrides, f"paths.runs={whole}") == 0, scripts.log.read_text()
    for step in sorted(random.sample(range(1, STEPS), 3)):
        started = scripts.start(script, *overrides, f"paths.runs={killed}")
        assert started.signal_at(signal.SIGKILL, step, killed) in (-signal.SIGKILL, 0)
    assert scripts.run(script, *overrides, f"paths.runs={killed}") == 0, scripts.log.read_text()

    assert run_folder(killed).name == run_folder(whole).name
    expected = history(whole)
    assert [int(row["step"]) for row in expected] == list(range(1, STEPS + 1))
    assert history(killed) == expected  # every loss to its last digit, no row lost or doubled

    states = [torch.load(newest(runs), weights_only=True) for runs in (whole, killed)]
    assert states[0]["state_dict"].keys() == states[1]["state_dict"].keys()
    for name, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][name]), name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop_it_saves_and_goes_on_from_there(
    number: signal.Signals, scripts: Starter, tmp_path: Path
):
    script, overrides = RUNS["lm"]
    rare = [*overrides, "checkpoint_every=1000000", f"paths.runs={tmp_path}"]
    started = scripts.start(script, *rare, "trainer.max_steps=100000")
    assert started.signal_at(number, 5, tmp_path) == 128 + number
    rows = history(tmp_path)
    state = torch.load(newest(tmp_path), weights_only=True)
    assert state["recording"]["updates"] == len(rows) >= 5
    assert f"stopped by {number.name}" in scripts.log.read_text()


def test_damaged_newest_checkpoint_is_passed_over(scripts: Starter, tmp_path: Path):
    script, overrides = RUNS["lm"]
    overrides = [*overrides, f"paths.runs={tmp_path}"]
    assert scripts.run(script, *overrides, "trainer.max_steps=6") == 0
    first = history(tmp_path)
    folder = run_folder(tmp_path)
    (folder / "done.json").unlink()  # as if it was killed while it wrote its last checkpoint
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes()[:-1000])
    assert scripts.run(script, *overrides, "trainer.max_steps=6") == 0
    assert history(tmp_path) == first
    assert "is damaged; continuing from an earlier checkpoint" in scripts.log.read_text()
    assert len(list((folder / "checkpoints").iterdir())) == 2


def newest(runs: Path) -> Path:
    return sorted((run_folder(runs) / "checkpoints").glob("step-*.ckpt"))[-1]
