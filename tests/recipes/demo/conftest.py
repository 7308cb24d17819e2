"""A small run folder in the formats that the stages of the demo write."""

import csv
import json
from pathlib import Path

import pytest
import torch

from audiogen.audio import write_audio
from evaluation.reports.report import Report, Score
from recipes.datasets.synthetic import prepare
from recipes.demo.page.timing import STAGES
from recipes.demo.probe import LabelSet, Probe
from recipes.demo.samples import FOLDERS, clips_to_judge, read_beginning
from recipes.demo.score import score
from recipes.page.inputs import Run

CODEBOOKS = {"codebook_size": 128, "perplexity": [90.0, 40.0], "usage": [1.0, 0.9]}


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_history(folder: Path, rows: list[dict], *, done: bool = True) -> None:
    folder.mkdir(parents=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, restval="")
        table.writeheader()
        table.writerows(rows)
    if done:
        (folder / "done.json").write_text("{}")


def stage_rows(seconds: float = 10.0) -> list[dict]:
    return [{"stage": n, "seconds": seconds, "bytes": 10**9, "exit": 0} for n in STAGES]


def _histories(run: Path) -> None:
    codec = [
        {"step": 10, "train/loss": 2.0, "train/mel": 2.0, "train/commitment": 0.0},
        {"step": 20, "train/loss": 1.0, "train/mel": 1.0, "codebooks/perplexity_0": 50.0},
        {"step": 20, "val/loss": 1.1, "val/mel": 1.1, "val/rms_ratio": 0.7},
    ]
    lm = [
        {"step": 10, "train/loss": 4.0, "train/loss_codebook_0": 4.0},
        {
            "step": 20,
            "val/loss": 3.0,
            "val/loss_codebook_0": 3.0,
            "val/loss_shuffled_captions": 3.15,
            "val/loss_no_captions": 3.05,
        },
    ]
    write_history(run / "train_codec" / "demo_codec-1", codec)
    write_history(run / "train_lm" / "demo_lm-1", lm)
    config = "name: demo_lm\ncodec: {num_codebooks: 4, codebook_size: 128}\n"
    (run / "train_lm" / "demo_lm-1" / "config.yaml").write_text(config)


def _evaluation(run: Path) -> None:
    value = Score(
        name="frechet_logmel_standin",
        label="Frechet distance on log-mel statistics (stand-in, not FAD)",
        unit="",
        best="low",
        value=12.5,
        reason=None,
        n=12,
        interval=(10.0, 15.0),
        details={},
    )
    Report(
        scores={value.name: value},
        not_computed={},
        protocol={
            "name": "demo",
            "version": 1,
            "bootstrap": {"resamples": 1000, "seed": 0, "confidence": 0.95},
        },
        data={"pairs": 12, "reference": {"sha256": "0" * 64}},
        provenance={"date": None, "instrument": "0.1.0"},
    ).to_json(run / "evaluation.json")


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run on synthetic sounds, one test clip of each family; do not change it."""
    run = tmp_path_factory.mktemp("run")
    prepare(run / "data", clips={"train": 12, "valid": 0, "test": 12}, duration=1.0, seed=1)
    clips = clips_to_judge(run / "data" / "manifest.jsonl")
    sounds = [read_beginning(clip, duration=1.0, sample_rate=16_000) for clip in clips]
    for clip, sound in zip(clips, sounds, strict=True):
        for number, folder in enumerate(FOLDERS):
            write_audio(run / "samples" / folder / f"{clip.id}.wav", sound / 2**number, 16_000)
    labels = [dict(clip.labels) for clip in clips]
    rows = [
        {"file": f"{clip.id}.wav", "caption": clip.captions[0], "labels": known}
        for clip, known in zip(clips, labels, strict=True)
    ]
    write_rows(run / "samples" / "captions.jsonl", rows)
    torch.manual_seed(0)
    probe = Probe(LabelSet.of(labels), sample_rate=16_000)
    scores = score(run / "samples", probe, sample_rate=16_000) | {"codebooks": CODEBOOKS}
    (run / "scores.json").write_text(json.dumps(scores))
    write_rows(run / "stages.jsonl", stage_rows())
    _histories(run)
    _evaluation(run)
    return Run(folder=run)
