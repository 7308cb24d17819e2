"""Scores against closed forms; what was not measured is never a number."""

import json
import math

import pytest
import torch

from audiogen import write_audio
from recipes.demo.probe import IGNORE, LabelSet
from recipes.demo.score import (
    Listened,
    accuracy,
    by_class,
    paired_gain,
    read_samples,
    score,
    score_set,
)

RATE = 16_000


def wilson(right: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The interval of E. B. Wilson (1927), written out."""
    share, weight = right / total, z**2 / total
    center = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return center - half, center + half


def test_accuracy_counts_only_clips_with_the_label_and_has_wilsons_interval():
    answers = torch.tensor([0, 1, 1, 0, 1])
    targets = torch.tensor([0, 1, 0, IGNORE, IGNORE])
    found = accuracy(answers, targets)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["n"] == 3
    assert (found["low"], found["high"]) == pytest.approx(wilson(2, 3))


def test_accuracy_of_nothing_is_none_and_not_zero():
    assert accuracy(torch.tensor([0]), torch.tensor([IGNORE])) == {"accuracy": None, "n": 0}


def test_paired_gain_is_the_difference_and_its_interval_covers_it():
    targets = torch.zeros(200, dtype=torch.int64)
    better = (torch.arange(200) % 10 == 0).long()  # 90 % right
    base = (torch.arange(200) % 2).long()  # 50 % right
    gain = paired_gain(better, base, targets)
    assert gain["gain"] == pytest.approx(0.4)
    assert gain["low"] < 0.4 < gain["high"]
    assert gain["high"] - gain["low"] < 0.25
    same = paired_gain(base, base, targets)
    assert same["gain"] == 0


def listened(level: float, answers: list[int]) -> Listened:
    waveforms = torch.full((len(answers), 100), level)
    return Listened(waveforms=waveforms, answers={"family": torch.tensor(answers)})


def test_silence_and_level_are_seen():
    targets = {"family": torch.tensor([0, 0, 1])}
    assert score_set(listened(0.001, [0, 0, 1]), targets)["silent"] == 1.0
    sets = {"real": listened(0.1, [0, 0, 1]), "generated": listened(0.02, [0, 1, 1])}
    sets["roundtrip"] = listened(0.05, [0, 0, 0])
    rows = by_class(sets, targets["family"], ("rain", "bell"), "family", sample_rate=RATE)
    assert [row["name"] for row in rows] == ["rain", "bell"]
    assert rows[0]["rms_ratio"]["generated"] == pytest.approx(0.2)
    assert rows[0]["accuracy"] == {"real": 1.0, "generated": 0.5, "roundtrip": 1.0}
    assert rows[0]["spectrum_db"].keys() == {"codec", "model", "chance"}
    assert rows[1]["spectrum_db"]["chance"] is None  # one clip has no other half


class Loudness:
    """A judge whose answer is known beforehand: loud clips are "b"."""

    label_set = LabelSet({"family": ("a", "b")})

    def answers(self, waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"family": (waveforms.abs().mean(dim=1) > 0.1).long()}


def test_score_reads_folders_and_shuffling_lowers_the_score(tmp_path):
    rows = []
    for i in range(12):
        level, family = (0.2, "b") if i % 2 else (0.05, "a")
        rows.append({"file": f"{i}.wav", "caption": "x", "labels": {"family": family}})
        for folder in ("reference", "roundtrip", "generated", "unguided"):
            heard = 0.05 if folder == "unguided" else level
            write_audio(tmp_path / folder / f"{i}.wav", torch.full((1, 800), heard), RATE)
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = score(tmp_path, Loudness(), sample_rate=RATE)  # type: ignore[arg-type]
    shares = {name: s["labels"]["family"]["accuracy"] for name, s in report["sets"].items()}
    assert shares["real"] == shares["generated"] == 1.0
    assert shares["unguided"] == 0.5
    assert shares["shuffled"] < 1.0
    assert report["guidance"]["family"]["gain"] == 0.5
    assert report["n"] == 12


def test_without_a_probe_levels_remain(tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"file": "0.wav", "caption": "x", "labels": {}}\n')
    for folder in ("reference", "roundtrip", "generated", "unguided"):
        write_audio(tmp_path / folder / "0.wav", torch.full((1, 800), 0.25), RATE)
    report = score(tmp_path, None, sample_rate=RATE)
    assert report["probe"] is None
    assert report["rms"]["generated"] == pytest.approx(0.25, rel=1e-3)
    assert "sets" not in report
    assert report["spectrum_db"] == {"codec": 0.0, "model": 0.0, "chance": None}


def test_a_list_of_no_samples_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"captions\.jsonl names no sound; remove the folder"):
        read_samples(tmp_path / "generated", [])
