"""Two processes with parts of a batch learn what one learns with all of it."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from audiogen.codec.quantizer import ResidualVectorQuantizer
from audiogen.codec.ranks import Share


def _load(name: str):
    """Import a file beside this one; test folders are no packages."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


cases = _load("cases_of_ranks")
run_both = _load("two_processes").run_both


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return run_both(cases.all_cases, tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def alone():
    return cases.all_cases(0, 1)


@pytest.mark.parametrize("case", ["even", "uneven", "few", "dropout", "parts", "nothing"])
def test_two_learn_what_one_learns(both, alone, case):
    """K-means, averages, restarts and draws; batches of 3 and 2 items included."""
    for name, expected in alone[case].items():
        ours = both[0][case][name]
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "case", ["even", "uneven", "few", "dropout", "parts", "nothing", "by_count", "other_seeds"]
)
def test_both_hold_the_same_bits(both, case):
    for name, first in both[0][case].items():
        assert torch.equal(first, both[1][case][name]), name


def test_there_were_restarts_to_agree_on(both):
    for case in ("even", "uneven", "dropout", "parts", "other_seeds"):
        assert both[0][case]["restarts"].sum() > 0, case
    assert both[0]["nothing"]["restarts"].sum() == 0


def test_starts_and_restarts_draw_from_both(both):
    for name in ("started", "restarted"):
        entries = both[1]["far_apart"][name][:, 0]
        assert (entries.abs() < 10).any(), name
        assert ((entries - 100).abs() < 10).any(), name


def test_thresholds_in_counts_are_per_process(both, alone):
    assert both[0]["by_count"]["restarts"].item() == 1  # 4 < 2 * 2.5 <= 6
    assert alone["by_count"]["restarts"].item() == 0  # 4 and 6 in one process


def test_paper_exact_starts_from_the_first_and_learns_apart(both):
    """Three steps by hand: k-means of the first process, own averages, then a mean of buffers."""
    settings = cases.SMALL | {"paper_exact": True, "dead_code_threshold": 0}
    started = ResidualVectorQuantizer(**settings).eval()
    started(cases.items(0, 4)[0::2])  # in eval mode k-means runs and nothing else
    rvqs = [ResidualVectorQuantizer(**settings) for _ in range(2)]
    for rvq in rvqs:
        rvq.load_state_dict(started.state_dict())
    for step in range(3):
        for rank, rvq in enumerate(rvqs):
            rvq(cases.items(step, 4)[rank::2])
            for name, value in rvq.named_buffers():
                ours = both[rank]["paper_exact"][f"{step}/{name}"]
                torch.testing.assert_close(ours, value, rtol=1e-6, atol=1e-6, msg=name)
        entries = [rvq.codebooks[0].embed for rvq in rvqs]
        assert not torch.equal(*entries)
        for buffers in zip(*(rvq.buffers() for rvq in rvqs), strict=True):
            if buffers[0].is_floating_point():
                mean = (buffers[0] + buffers[1]) / 2
                for buffer in buffers:
                    buffer.copy_(mean)


@pytest.mark.parametrize("case", ["balance", "balance_whole", "equalize"])
def test_two_balance_as_one(both, alone, case):
    for name, expected in alone[case].items():
        for ranks in both:
            torch.testing.assert_close(ranks[case][name], expected, rtol=1e-5, atol=1e-7, msg=name)


def test_a_bad_gradient_stops_both(both):
    first, second = (ranks["bad"] for ranks in both)
    assert "on another rank" in first["message"]
    assert "'a' in item(s) [0]" in second["message"]
    for ranks in (first, second):
        assert ranks["state"].tolist() == [0, 0]
        assert not ranks["moved"]


def test_every_row_lies_in_one_process():
    sizes = ((3, 4), (2, 4), (0, 4))
    values = torch.arange(20.0)[:, None]
    parts = [values.view(5, 4, 1)[[0, 3, 4]].view(-1, 1), values.view(5, 4, 1)[[1, 2]].view(-1, 1)]
    drawn = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    picked = [Share(sizes=sizes, rank=r).pick(rows, drawn) for r, rows in enumerate(parts)]
    # Dealt in turn: 0 and 1, then 0 and 1, then what is left to the first.
    order = values.view(5, 4, 1)[[0, 1, 3, 2, 4]].view(-1, 1)
    torch.testing.assert_close(sum(picked), order[drawn], rtol=0, atol=0)
    assert Share(sizes=sizes, rank=0).total == 20
