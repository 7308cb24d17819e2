"""Run folders in the formats that the stages of the recipe write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recipes.audiogen_cpu.gates import EXPERIMENT, STAGES
from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED, Clip, Costs
from recipes.audiogen_cpu.judge import record

SETTINGS = {"name": EXPERIMENT, "lm": {"dim": 64}}


def judged(*, worth: float = 0.1, prefix: str = "c", **changes: Any) -> dict[str, Any]:
    """What judging 24 clips of 2 codebooks found, each caption worth so many nats."""
    clips = [Clip(id=f"{prefix}{i}", caption="A dog.", group="ab"[i % 2]) for i in range(24)]
    own = np.random.default_rng(0).normal(3.0, 0.5, size=(24, 2))
    extra = np.random.default_rng(1).normal(worth, 0.05, size=(24, 2))
    books = {OWN: own, NONE: own + extra, SHUFFLED: own + 2 * extra}
    frames = {name: np.repeat(v[:, :1], 50, axis=1) for name, v in books.items()}
    more = {"codebook_size": 256, "frame_rate": 50.0, "seconds": 24.0, "licences": ["CC0-1.0"]}
    found = record(Costs(clips=clips, codebooks=books, frames=frames))
    return found | more | {"sources": ["esc50"]} | changes


def make_run(
    folder: Path,
    *,
    found: dict[str, Any] | None = None,
    name: str = f"{EXPERIMENT}-1",
    losses: tuple[float, ...] = (4.0, 3.0),
    settings: dict[str, Any] = SETTINGS,
) -> Path:
    """A run that was trained and judged."""
    training = folder / "train_lm" / name
    training.mkdir(parents=True)
    lines = [f"{100 * (i + 1)},{loss},{loss}" for i, loss in enumerate(losses)]
    head = "step,val/loss,train/loss_codebook_0"
    (training / "metrics.csv").write_text("\n".join([head, *lines]) + "\n")
    (training / "config.yaml").write_text(yaml.safe_dump(settings))
    (training / "done.json").write_text("{}")
    (folder / "judged").mkdir()
    for split in ("train", "valid", "test"):
        (folder / "judged" / f"{split}.json").write_text(json.dumps(found or judged()))
    rows = [{"stage": n, "seconds": 60, "bytes": 10**9, "exit": 0} for n in STAGES]
    (folder / "stages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """Return what writes a run folder."""
    return make_run


@pytest.fixture
def make_judged() -> Callable[..., dict[str, Any]]:
    """Return what makes the content of a judged file."""
    return judged
