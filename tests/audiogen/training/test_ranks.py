"""Several processes: they train as one with their global batch would, and none waits for ever."""

import os
import signal
from pathlib import Path

import pytest
import torch

from .conftest import CODEC, Starter, history, run_folder

STEPS = 6
COMMON = [
    *CODEC,
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=3",
    "trainer.limit_val_batches=1.0",
    "checkpoint_every=2",
    "data.valid_batch_size=1",
    "optim.lr=1e-4",  # faster ones amplify rounding here
    "adversarial.every=1",
    "codec.dead_code_threshold=0.9",  # restarts in every step
]
FORK = ["trainer.devices=2", "trainer.strategy=ddp_fork"]
VARIANTS = {
    "published": ["module.balanced_items=2"],
    "warm-up, parts, items at equal level": [
        "module.warmup_steps=2",
        "module.level_floor=1e-4",
        "module.balancer.equalize_items=true",
        "+codec.codebook_dropout=true",
    ],
}
NOT_OF_THE_MODEL = ("speed/", "train/gradient_norm", "train/balanced")


def run(scripts: Starter, runs: Path, *words: str) -> list[dict[str, str]]:
    started = scripts.start("train_codec.py", *COMMON, *words, f"paths.runs={runs}")
    assert started.wait(seconds=120) == 0, scripts.log.read_text()
    return history(runs)


def assert_equal_losses(first: list[dict[str, str]], second: list[dict[str, str]]) -> None:
    assert len(first) == len(second) == STEPS
    for one, two in zip(first, second, strict=True):
        names = {name for name in one if one[name] and not name.startswith(NOT_OF_THE_MODEL)}
        assert names <= two.keys()
        for name in names:
            expected = pytest.approx(float(one[name]), rel=1e-5, abs=1e-5)
            assert float(two[name]) == expected, (one["step"], name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_train_as_one(variant: str, scripts: Starter, tmp_path: Path):
    """K-means, averages, restarts, balancer and discriminator, for the same global batch of 4."""
    words = VARIANTS[variant]
    parts = ["module.accumulate=2"] if "parts" in variant else []
    one = run(scripts, tmp_path / "one", *words, "data.batch_size=4")
    two = run(scripts, tmp_path / "two", *words, *FORK, *parts, "data.batch_size=2")
    assert_equal_losses(one, two)
    assert sum(float(row["codebooks/restarts_0"] or 0) for row in two) > 0
    states = [torch.load(newest(tmp_path / name), weights_only=True) for name in ("one", "two")]
    for name, value in states[0]["state_dict"].items():
        if "quantizer" in name or "balancer" in name:
            size = value.double().abs().max().item()
            other = states[1]["state_dict"][name]
            torch.testing.assert_close(other, value, rtol=1e-5, atol=1e-5 * size, msg=name)


def test_fewer_validation_items_than_processes_are_refused(scripts: Starter, tmp_path: Path):
    words = [*FORK, "data.valid.num_items=1", "data.batch_size=1", f"paths.runs={tmp_path}"]
    assert scripts.start("train_codec.py", *COMMON, *words).wait(seconds=120) > 0
    assert "1 validation item(s) for 2 processes" in scripts.log.read_text()


def test_killed_processes_go_on_with_identical_losses(scripts: Starter, tmp_path: Path):
    words = [*FORK, "data.batch_size=2", "module.accumulate=2", "trainer.precision=bf16-mixed"]
    expected = run(scripts, tmp_path / "whole", *words)
    runs = tmp_path / "killed"
    for step in (1, 4):
        started = scripts.start("train_codec.py", *COMMON, *words, f"paths.runs={runs}")
        started.reach(step, runs)
        assert started.kill_all() in (-signal.SIGKILL, 0)
    assert run(scripts, runs, *words) == expected


def test_a_process_that_dies_takes_the_others_along(scripts: Starter, tmp_path: Path):
    """Of trainer=ddp_cpu, as people start it: the first process does not wait for ever."""
    words = ["trainer=ddp_cpu", "trainer.log_every_n_steps=1", "data.batch_size=2"]
    words += ["trainer.enable_progress_bar=false"]
    endless = [*words, "trainer.max_steps=100000", f"paths.runs={tmp_path}"]
    started = scripts.start("train_codec.py", *COMMON, *endless)
    started.reach(3, tmp_path)
    (second,) = children(started.pid)
    os.kill(second, signal.SIGKILL)
    assert started.wait(seconds=60) not in (0, -signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Return the processes of the same script that ``pid`` has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in found if b"train_codec" in Path(f"/proc/{c}/cmdline").read_bytes()]


def newest(runs: Path) -> Path:
    return sorted((run_folder(runs) / "checkpoints").glob("step-*.ckpt"))[-1]
