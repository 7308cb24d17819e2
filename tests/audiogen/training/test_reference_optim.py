"""Schedules and averages of weights beside the reference's arrays."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.training import schedules
from audiogen.training.callbacks import WeightAverage

ARRAYS = np.load(Path(__file__).parents[2] / "golden" / "codec_training.npz")
INFO = json.loads(str(ARRAYS["optim/lr_info_json"]))


def ours(kind: str, settings: dict, steps: int, **how) -> np.ndarray:
    """The reference's schedule by our functions, as learning rates of ``steps`` updates."""
    base, total, warmup = (settings[name] for name in ("base_lr", "total_updates", "warmup"))
    start = settings.get("warmup_init_lr", 0.0) / base
    function, keywords = {
        "inverse_sqrt": (schedules.inverse_sqrt, {"warmup": warmup, "start": start}),
        "cosine": (
            schedules.cosine,
            {
                "total": total,
                "warmup": warmup,
                "floor": settings.get("lr_min_ratio"),
                "cycle": settings.get("cycle_length"),
            },
        ),
        "linear_warmup": (schedules.constant, {"warmup": warmup, "start": start}),
        "polynomial_decay": (
            schedules.polynomial,
            {
                "total": total,
                "warmup": warmup,
                "wait": settings.get("zero_lr_warmup_steps"),
                "floor": settings.get("end_lr", 0.0) / base,
                "power": settings.get("power"),
            },
        ),
    }[kind]
    return np.array([base * function(step, **keywords, **how) for step in range(steps)])


@pytest.mark.parametrize("name", INFO)
def test_schedules_match_golden(name):
    """Every learning rate; but for inverse_sqrt the reference counts from 0, which is a word."""
    settings, expected = INFO[name], ARRAYS[f"optim/lr_{name}"]
    how = {} if settings["kind"] == "inverse_sqrt" else {"zero_based": True}
    found = ours(settings["kind"], settings, len(expected), **how)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", INFO)
def test_our_warm_ups_begin_with_an_update_that_teaches(name):
    """From the end of the warm-up on we are the reference; during it, one update ahead of it."""
    settings, expected = INFO[name], ARRAYS[f"optim/lr_{name}"]
    kind = settings["kind"]
    found = ours(kind, settings, len(expected))
    end = settings["warmup"] + settings.get("zero_lr_warmup_steps", 0)
    np.testing.assert_allclose(found[end:], expected[end:], rtol=1e-6)
    shift = 0 if kind == "inverse_sqrt" else 1
    np.testing.assert_allclose(found[: end - shift], expected[shift:end], rtol=1e-6, atol=1e-12)
    assert (expected[0] == 0) == (shift == 1)


def test_every_array_of_the_reference_is_used():
    used = {f"optim/lr_{name}" for name in INFO} | {"optim/lr_info_json", "optim/ema_values"}
    used |= {f"optim/ema_{kind}" for kind in ("unbias_0.99", "unbias_0.9", "biased_0.9")}
    used |= {f"{name}_count" for name in used if "ema_" in name and "values" not in name}
    assert used == {name for name in ARRAYS if name.startswith("optim/")}


@pytest.mark.parametrize("decay", [0.99, 0.9])
def test_averages_of_weights_match_golden(decay):
    values = torch.from_numpy(ARRAYS["optim/ema_values"])
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(values[0].clone())
    average = WeightAverage(decay=decay)
    states = [values[0]]
    for value in values[1:]:
        module.weight.data.copy_(value)
        average.update(module)
        states.append(average.average["weight"].clone())
    expected = torch.from_numpy(ARRAYS[f"optim/ema_unbias_{decay}"])
    torch.testing.assert_close(torch.stack(states), expected, rtol=1e-5, atol=1e-6)
    assert average.count == pytest.approx(ARRAYS[f"optim/ema_unbias_{decay}_count"].item())


def test_the_biased_average_is_ours_less_what_it_remembers_of_the_start():
    """decay ** n of the first weights, and ours for the rest: what the correction takes out."""
    values = torch.from_numpy(ARRAYS["optim/ema_values"])
    expected = torch.from_numpy(ARRAYS["optim/ema_biased_0.9"])
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(values[0].clone())
    average = WeightAverage(decay=0.9)
    for n, value in enumerate(values[1:], start=1):
        module.weight.data.copy_(value)
        average.update(module)
        memory = 0.9**n
        biased = memory * values[0] + (1 - memory) * average.average["weight"]
        torch.testing.assert_close(biased, expected[n], rtol=1e-5, atol=1e-6)
    assert ARRAYS["optim/ema_biased_0.9_count"] == 0  # the reference counts only to correct
