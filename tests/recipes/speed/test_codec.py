"""The program of the benchmark; no time is asserted."""

import json
import math

import pytest
import torch
from torch import nn

from audiogen.codec.model import Codec
from recipes.speed import codec as program
from recipes.speed.baseline import PlainCodec
from recipes.speed.errors import code_errors, sound_errors
from recipes.speed.memory import main as memory
from recipes.speed.report import EXPECTED, gates
from recipes.speed.timing import Times, cost, floor, in_turns


def test_smoke(tmp_path, capsys):
    report = tmp_path / "new" / "report.json"
    arguments = ["encode", "decode", "batch", "--smoke", "--seconds", "0.3", "--rounds", "1"]
    assert program.main([*arguments, "--no-memory", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert set(found["decode"]["ways"]) == set(program.WAYS)
    assert found["decode"]["ways"]["exact"]["snr_db"] > 100
    assert found["encode"]["ways"]["exact"]["changed_all"] == 0
    assert found["decode"]["ways"]["baseline"]["ratio_least"] == 1
    assert found["batch"]["ways"]["fast"]["clips_per_s_8"] > 0
    assert found["machine"]["rounds"] == 1
    said = capsys.readouterr().out
    assert "floor" in said
    assert "lstm-int8" in said
    assert said.splitlines()[-1].startswith("It runs. Ratios of a toy model mean nothing")


def test_training_smoke(tmp_path):
    report = tmp_path / "report.json"
    arguments = ["train", "--smoke", "--seconds", "0.25", "--rounds", "1", "--no-memory"]
    assert program.main([*arguments, "--json", str(report)]) == 0
    ways = json.loads(report.read_text())["train"]["ways"]
    assert ways["exact"]["gradient_error"] < 1e-3
    assert ways["bf16"]["gradient_error"] < 0.2


def test_smoke_is_short_without_further_words(monkeypatch, tmp_path):
    weighed = []
    monkeypatch.setattr(program, "machine_rates", lambda **_: {})
    monkeypatch.setattr(program, "peak_of", lambda work, way, **_: weighed.append((work, way)))
    monkeypatch.setattr(
        program, "measure_coding", lambda *_: {"ways": {"baseline": {}, "fast": {}}}
    )
    monkeypatch.setattr(program, "measure_batches", lambda *_: {"ways": {}})
    report = tmp_path / "report.json"
    words = ["encode", "decode", "batch", "--json", str(report)]
    for more, seconds, rounds in ((["--smoke"], 1, 1), ([], 10, 9), (["--rounds", "3"], 10, 3)):
        weighed.clear()
        program.main([*words, *more])
        machine = json.loads(report.read_text())["machine"]
        assert (machine["seconds"], machine["rounds"]) == (seconds, rounds)
        assert len(weighed) == (2 if more == ["--smoke"] else 4)


def test_peak_memory(capsys):
    threads = torch.get_num_threads()
    assert memory(["decode", "fast", "--smoke", "--seconds", "0.2"]) == 0
    torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out)["peak_mib"] > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dekode"], "there is no dekode: choose from encode, decode, batch, train"),
        (["--seconds", "0"], "must be above 0"),
        (["decode", "--codec", "nowhere", "--no-memory"], "nowhere"),
        (["decode", "--sound", "nowhere.wav", "--smoke", "--no-memory"], "nowhere.wav"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert program.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_turns_begin_with_each_way_once():
    order = []
    ways = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = in_turns(ways, rounds=2)
    assert "".join(order) == "abcbcacab"
    assert all(len(value.seconds) == 2 for value in times.values())


def test_ratios():
    slow, fast = Times(seconds=[4.0, 2.0, 9.0]), Times(seconds=[1.0, 8.0, 2.0])
    assert fast.over(slow) == {"ratio_least": 2.0, "ratio_median": 2.0}


def test_errors_of_a_known_difference():
    exact = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])
    found = sound_errors(exact * 1.1, exact)
    assert found["snr_db"] == pytest.approx(20, abs=1e-4)
    assert found["largest_error"] == pytest.approx(0.1 / exact.std().item(), rel=1e-4)
    assert sound_errors(exact, exact)["snr_db"] == math.inf
    codes = torch.zeros(1, 2, 4, dtype=torch.int64)
    other = codes.clone()
    other[0, 0, 0] = other[0, 1, :2] = 1
    assert code_errors(other, codes) == {"changed_first": 0.25, "changed_all": 0.375}


def test_cost_counts_products_by_hand():
    """2 operations per weight and output step; recurrent weights are read once per step."""
    plain = PlainCodec(
        Codec(num_filters=2, ratios=[4], dimension=3, lstm_layers=1, codebook_size=4)
    )
    plain.eval()
    counted = cost(plain, lambda: plain.decoder(torch.randn(1, 3, 10)))
    weights = {
        name: module.weight.numel()
        for name, module in plain.decoder.named_modules()
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d)
    }
    first, up, narrow, wide, last = weights.values()
    recurrent = 2 * 4 * 4 * 4
    # The kernel of 8 of the transposed one meets every one of 10 inputs, and the surplus of one.
    operations = 2 * (first * 10 + up * 11 + (narrow + wide + last) * 40 + recurrent * 10)
    assert counted["gflop"] == pytest.approx(operations / 1e9, rel=1e-6)
    assert counted["recurrent_gb"] == pytest.approx(recurrent / 2 * 4 * 10 / 1e9)
    least = floor(counted, {"float32_gflop_per_s": 2.0, "copy_gb_per_s": 4.0})
    assert least["compute_s"] == pytest.approx(counted["gflop"] / 2)
    assert least["bandwidth_s"] == pytest.approx(counted["recurrent_gb"] / 4)


def test_gates_bind_what_was_measured():
    expected = [{"work": "decode", "way": "fast", "value": "ratio_least", "at_least": 2.5}]
    report = {"decode": {"ways": {"fast": {"ratio_least": 2.4}}}}
    assert gates(report, expected) == ["decode fast ratio_least: 2.4, expected 2.5 to inf"]
    report["decode"]["ways"]["fast"]["ratio_least"] = 2.5
    assert gates(report, expected) == []
    assert gates({}, expected) == []


def test_expected_names_what_there_is():
    bounds = json.loads(EXPECTED.read_text())["gates"]
    assert {(g["work"], g["way"]) for g in bounds if g["value"] == "ratio_least"} >= {
        ("encode", "near"),
        ("decode", "near"),
        ("encode", "fast"),
        ("decode", "fast"),
    }
    for gate in bounds:
        assert gate["work"] in program.WORKS
        assert gate["way"] in {*program.WAYS, "bf16"}
        assert {"at_least", "at_most"} & gate.keys()
