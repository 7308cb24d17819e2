import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, StepLR

from audiogen.training.schedules import (
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    set_learning_rate,
    stairs,
)


def test_published_schedule():
    """5e-4 with 3000 warm-up updates; numbers measured on the reference implementation."""
    rates = [5e-4 * inverse_sqrt(step, warmup=3000) for step in (0, 2999, 5999)]
    assert rates == pytest.approx([1.667e-7, 5e-4, 3.5355e-4], rel=1e-3)


def test_cosine_starts_at_one_ends_at_the_floor_and_never_rises():
    factors = [cosine(step, total=100, warmup=10, floor=0.05) for step in range(150)]
    assert factors[9] == factors[10] == 1.0
    assert factors[100] == factors[149] == pytest.approx(0.05)
    assert factors[55] == pytest.approx((1 + 0.05) / 2)  # half way along half a cosine
    assert all(before >= after for before, after in pairwise(factors[9:]))
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])


def test_a_run_shorter_than_its_warm_up_only_warms_up():
    assert [cosine(step, total=2, warmup=4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "schedule", [constant, partial(cosine, total=50), partial(inverse_sqrt, warmup=1)]
)
def test_first_update_learns(schedule):
    assert 0 < schedule(0) <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inverse_sqrt(0, warmup=0), "warm-up of 1 update or more, got 0"),
        (lambda: cosine(0, total=3, cycle=0), "cycle must be above 0, got 0"),
        (lambda: stairs(0, every=0, factor=0.5), "every must be at least 1"),
        (lambda: constant(-1), "cannot be negative: got step -1"),
    ],
)
def test_impossible_schedules_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (partial(stairs, every=3, factor=0.3), partial(StepLR, step_size=3, gamma=0.3)),
        (partial(exponential, factor=0.9), partial(ExponentialLR, gamma=0.9)),
    ],
)
def test_stairs_and_exponential_are_those_of_torch(ours, theirs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs(optimizer)
    for step in range(12):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        assert ours(step + 4, warmup=4) == pytest.approx(ours(step))
        optimizer.step()
        scheduler.step()
    assert [ours(step, warmup=4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_learning_rate_is_relative_to_the_first_and_survives_a_restart():
    weight = torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [weight], "lr": 0.5}]
    optimizer = torch.optim.Adam(groups)
    for step in range(7):
        set_learning_rate(optimizer, cosine(step, total=10))
    again = torch.optim.Adam([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5}])
    again.load_state_dict(optimizer.state_dict())
    set_learning_rate(again, cosine(7, total=10))
    assert again.param_groups[0]["lr"] == 0.5 * 0.5 * (1 + math.cos(0.7 * math.pi))
