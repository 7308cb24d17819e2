"""A language model's run that is killed and started again is the run that was never killed."""

import signal
from pathlib import Path

import pytest
import torch

from audiogen.text.cached import CachedEncoder
from audiogen.text.t5 import T5Encoder
from audiogen.training.callbacks import RandomStreams, WeightAverage
from audiogen.training.checkpoints import AtomicCheckpointIO, Checkpointer, newest_checkpoint
from evaluation.protocols.card import FOLDER

from .conftest import LM, Starter, history, run_folder
from .test_lm_batches import RATE, SECONDS, data_of, make, rows_of, sounds
from .test_lm_module import fit

__all__ = ["sounds"]  # a fixture
STEPS = 12


@pytest.fixture
def words(sounds, tmp_path) -> list[str]:
    """From sounds, mixed and cut at random; every dropout, in parts, averaged and scored."""
    card = tmp_path / "card.yaml"
    text = (FOLDER / "demo.yaml").read_text().replace("patch: 1.0", "patch: 0.1")
    text = text.replace("name: demo", "name: mine").replace("hop: 0.5", "hop: 0.05")
    card.write_text(text.replace("resamples: 400", "resamples: 5"))
    return [
        *LM,
        "data=audiocaps_sounds_v1",
        "data.num_workers=0",
        "data.batch_size=4",
        f"data.train.manifest={sounds}/manifest.jsonl",
        f"data.train.segment_duration={SECONDS * 0.8}",
        "data.train.sample_by=duration",
        f"codec.sample_rate={RATE}",
        "codec.num_codebooks=3",
        "codec.codebook_size=16",
        "lm.pattern.delays=[0,1,2]",
        f"codec_folder={sounds}/codec",
        "lm.dropout=0.2",
        "module.condition_dropout=0.3",
        "module.word_dropout=0.3",
        "module.attribute_dropout={description: 0.2}",
        "module.accumulate=2",
        "average.every=2",
        "trainer.precision=bf16-mixed",
        "scores.every=5",
        "scores.count=2",
        f"scores.protocol={card}",
        f"trainer.max_steps={STEPS}",
        "trainer.val_check_interval=3",
        "trainer.limit_val_batches=1",
        "checkpoint_every=2",
    ]


def test_killed_run_equals_undisturbed_run(words, scripts: Starter, tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert scripts.run("train_lm.py", *words, f"paths.runs={whole}") == 0, scripts.log.read_text()
    for step in (3, 7):
        started = scripts.start("train_lm.py", *words, f"paths.runs={killed}")
        assert started.signal_at(signal.SIGKILL, step, killed) in (-signal.SIGKILL, 0)
    assert scripts.run("train_lm.py", *words, f"paths.runs={killed}") == 0, scripts.log.read_text()

    expected = history(whole)
    assert [int(row["step"]) for row in expected] == list(range(1, STEPS + 1))
    assert [bool(row["val/frechet_logmel_standin"]) for row in expected].count(True) == 2
    assert history(killed) == expected  # every loss and score to its last digit
    states = [torch.load(newest(runs), weights_only=True) for runs in (whole, killed)]
    averages = [average_of(state) for state in states]
    assert averages[0]["count"] == averages[1]["count"] > 1
    for first, second in (
        [state["state_dict"] for state in states],
        [average["average"] for average in averages],
    ):
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert torch.equal(value, second[name]), name


def average_of(state):
    (key,) = (key for key in state["callbacks"] if key.startswith("WeightAverage"))
    return state["callbacks"][key]


def newest(runs: Path) -> Path:
    return sorted((run_folder(runs) / "checkpoints").glob("step-*.ckpt"))[-1]


def test_a_run_goes_on_with_the_text_states_on_disk(sounds, tmp_path, t5_folder):
    """Computed by the first process, read by the next, which has another part of them to add."""
    rows = {}
    for name, steps in (("whole", 6), ("part", 4), ("part", 6)):
        encoder = T5Encoder(name=str(t5_folder))
        text = CachedEncoder(encoder, folder=tmp_path / f"states of {name}")
        module = make(sounds, lm={"dropout": 0.2, "text_dim": text.dim}, text=text)
        checkpoints = tmp_path / "checkpoints" / name
        used = [
            Checkpointer(checkpoints, every=4),
            WeightAverage(decay=0.9),
            RandomStreams(seed=1),
        ]
        trainer = fit(
            module, tmp_path / name, steps=steps, validate=2, data=data_of(sounds, "codes"),
            plugins=[AtomicCheckpointIO()], path=newest_checkpoint(checkpoints), callbacks=used,
        )  # fmt: skip
        rows[name] = rows_of(trainer)
    assert rows["part"] == rows["whole"]
    assert len(rows["part"]) == 6
    assert list((tmp_path / "states of part").rglob("*"))
