"""The program that times the language model; no time is asserted."""

import json

import pytest
import torch

from recipes.speed import lm as program
from recipes.speed import lm_loss, lm_training
from recipes.speed.memory import main as memory
from recipes.speed.report import EXPECTED
from recipes.speed.timing import Times


def test_smoke(tmp_path, capsys):
    report = tmp_path / "new" / "report.json"
    assert program.main(["--smoke", "--no-memory", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    ways = found["train"]["ways"]
    assert set(ways) == {"baseline", "exact", "exact-onednn", "bf16"}
    assert ways["exact"]["gradient_error"] < 1e-5
    assert ways["exact-onednn"]["gradient_error"] < 1e-5
    assert ways["bf16"]["gradient_error"] < 0.05
    assert 0 < ways["exact"]["mfu"] < 1
    loss = found["loss"]["ways"]
    assert loss["baseline"]["ratio_least"] == 1
    assert max(loss[way]["loss_error"] for way in ("logits", "exact", "exact-onednn")) < 1e-6
    assert found["loader"]["ways"]["tokens"]["share_of_update"] > 0
    assert found["machine"]["size"] == "smoke"
    assert "exact-onednn" in capsys.readouterr().out


@pytest.mark.parametrize("way", lm_loss.WAYS)
def test_every_way_of_the_loss_is_the_same_loss(way):
    how = {"dim": 8, "batch": 2, "frames": 9, "codebooks": 3, "size": 16, "delays": [0, 1, 2]}
    exact = lm_loss.make_loss("baseline", **how, device="cpu")()
    error = 0.01 if way == "bf16" else 1e-5
    assert lm_loss.make_loss(way, **how, device="cpu")() == pytest.approx(exact, rel=error)


def test_peak_memory(capsys):
    threads = torch.get_num_threads()
    assert memory(["loss", "exact", "--program", "lm", "--smoke"]) == 0
    torch.set_num_threads(threads)
    found = json.loads(capsys.readouterr().out)
    assert found["peak_mib"] > 50
    assert found["extra_mib"] >= 0


def test_memory_of_the_loss_is_compared(monkeypatch):
    """The share is that of the baseline's excess."""
    monkeypatch.setattr(
        program,
        "memory_of",
        lambda work, way, **_: {"peak_mib": 500.0, "extra_mib": 30.0 if way == "exact" else 100.0},
    )
    args = program.parse(["loss"])
    report = {"loss": {"ways": {"baseline": {}, "exact": {}}}}
    program.add_memory(report, args)
    assert report["loss"]["ways"]["exact"]["memory_share"] == pytest.approx(0.3)


def test_the_loader_is_compared_with_the_quickest_update():
    report = {
        "train": {"ways": {"baseline": {}, "exact": {"least_s": 2.0}, "bf16": {"least_s": 1.0}}},
        "loader": {"ways": {"tokens": {"median_s": 0.01}}},
    }
    program.compare_loader(report)
    assert report["loader"]["ways"]["tokens"]["share_of_update"] == 0.01


def test_the_loader_reads_what_was_written(tmp_path):
    lm = program.make_lm("smoke")
    folder = lm_training.write_tokens(tmp_path / "tokens", lm, items=3, frames=7)
    batch = lm_training.plain_batch(folder, batch=3, device="cpu")
    assert batch["codes"].shape == (3, 4, 7)
    assert batch["code_mask"].all()
    assert batch["captions"] == ["sound 0", "sound 1", "sound 2"]
    times = lm_training.measure_loader(folder, batch=2)
    assert isinstance(times, Times)
    assert len(times.seconds) == lm_training.LOADED


def test_shares_of_the_machine_are_of_the_same_precision():
    rates = {
        "float32_gflop_per_s": 50.0,
        "float32_onednn_gflop_per_s": 90.0,
        "bfloat16_gflop_per_s": 300.0,
        "copy_gb_per_s": 1000.0,
    }
    assert lm_training.ceiling(rates, "exact") == 90e9
    assert lm_training.ceiling(rates, "bf16") == 300e9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no trian: choose from train, loss, loader"),
        (["--batch", "0"], "must be above 0"),
        (["--frames", "3"], "--frames above 3"),
        (["--device", "cuda"], "there is no GPU that this torch can use"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert program.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_expected_names_what_there_is():
    gates = json.loads(EXPECTED.read_text())["lm"]
    for gate in gates:
        ways = {"train": lm_training.WAYS, "loss": lm_loss.WAYS, "loader": ["tokens"]}
        assert gate["way"] in ways[gate["work"]]
        assert {"at_least", "at_most"} & gate.keys()
    assert {gate["work"] for gate in gates} == set(program.WORKS)
