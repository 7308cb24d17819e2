"""What an update computes, counted and beside torch's own counter."""

import logging
import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from audiogen.lm.model import TokenLM
from audiogen.training.throughput import Throughput, measured_matrix_rate, training_flops

SIZES = {"num_codebooks": 4, "codebook_size": 2048, "text_dim": 1024, "hidden_scale": 4}


@pytest.mark.parametrize(
    ("dim", "num_layers", "expected"), [(1536, 48, 9.93e9), (1024, 24, 2.27e9), (512, 8, 0.22e9)]
)
def test_published_sizes(dim, num_layers, expected):
    """Per step of 504, with 32 text positions; the causal half of the attention."""
    config = SIZES | {"dim": dim, "num_layers": num_layers}
    flops = training_flops(config, items=3, steps=504, text_positions=32)
    assert flops / 3 / 504 == pytest.approx(expected, rel=0.015)


def test_counts_are_those_of_torch():
    """But for the causal half of the attention, which torch counts whole."""
    lm = TokenLM(
        num_codebooks=2, codebook_size=16, text_dim=12, dim=16, num_layers=2, num_heads=2,
        delays=[0, 1], hidden_scale=3,
    )  # fmt: skip
    codes, states = torch.randint(16, (3, 2, 10)), torch.randn(3, 5, 12)
    mask = torch.ones(3, 5, dtype=torch.bool)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        lm.predict(codes, lm.project_text(states, mask), mask, complete=True)
    steps = 11  # ten frames and a delay of one
    unseen = 3 * 2 * 2 * steps * steps * 16  # items, layers, half of two products of two each
    ours = training_flops(lm.config, items=3, steps=steps, text_positions=5) / 3
    assert counter.get_total_flops() - unseen == pytest.approx(ours)


def test_rates_are_of_what_was_counted_since_the_last_time():
    throughput = Throughput(SIZES | {"dim": 64, "num_layers": 2}, rate=1e12)
    codes = torch.zeros(2, 4, 50, dtype=torch.long)
    throughput.count(codes, steps=53, text_positions=7)
    throughput.count(codes, steps=53, text_positions=7)
    values = throughput.pop(4.0, frame_rate=50)
    flops = 2 * training_flops(throughput.config, items=2, steps=53, text_positions=7)
    assert values == pytest.approx(
        {
            "train/frames_per_second": 50.0,
            "train/sound_seconds_per_second": 1.0,
            "train/mfu": flops / 4 / 1e12,
        }
    )
    assert throughput.pop(1.0, frame_rate=50)["train/frames_per_second"] == 0


def test_a_share_that_nobody_asked_for_is_left_out(caplog):
    throughput = Throughput(SIZES | {"dim": 64, "num_layers": 2}, rate=None)
    with caplog.at_level(logging.INFO):
        throughput.begin(torch.device("cpu"), "32-true")
    assert not caplog.text
    throughput.count(torch.zeros(1, 4, 5), steps=8, text_positions=1)
    assert "train/mfu" not in throughput.pop(1.0, frame_rate=50)
    lost = Throughput(throughput.config, rate="measured")  # and not found, before `begin`
    assert math.isnan(lost.pop(1.0, frame_rate=50)["train/mfu"])


@pytest.mark.parametrize(
    ("rate", "said"), [(2e12, "2e.12 FLOP/s per device, as given"), ("measured", "as measured now")]
)
def test_what_the_share_is_of_is_said(caplog, monkeypatch, rate, said):
    monkeypatch.setattr("audiogen.training.throughput.measured_matrix_rate", lambda *a: 3e9)
    throughput = Throughput(SIZES | {"dim": 64, "num_layers": 2}, rate=rate)
    with caplog.at_level(logging.INFO, "audiogen"):
        throughput.begin(torch.device("cpu"), "bf16-mixed")
    assert said.replace(".", "+") in caplog.text.replace(".", "+")
    assert "in bfloat16" in caplog.text
    assert throughput.peak == (2e12 if rate == 2e12 else 3e9)


def test_measuring_draws_nothing_and_takes_its_time():
    state = torch.get_rng_state()
    rate = measured_matrix_rate(torch.device("cpu"), torch.float32, seconds=0.0)
    assert rate == 0.0
    assert measured_matrix_rate(torch.device("cpu"), torch.float32, seconds=1e-3) > 1e8
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rate", [0, -1.0, math.inf, "fast", True])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="matrix_rate must be"):
        Throughput(SIZES, rate=rate)
