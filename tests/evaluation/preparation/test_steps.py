"""Lists of preparation steps: what identifies them, and what is refused."""

import json
import math

import numpy as np
import pytest
import torch

from evaluation.preparation.steps import STEPS, StepError, Steps

from .step_sounds import RATE, noise, run, sound


def test_what_identifies_a_list_is_json_and_complete():
    steps = Steps([{"mono": "mean"}, {"resample": {"rate": 16000, "method": "julius"}}, "pcm16"])
    identity = json.loads(json.dumps(steps.identity()))
    assert identity["steps"][1]["resample"] == {
        "rate": 16000,
        "method": "julius",
        "decimate_from": [],
        "double_speed_from": [],
    }
    assert identity["steps"][2] == {"pcm16": {"scale": 32768, "rounding": "nearest"}}
    assert identity["resamplers"][0].startswith("julius ")
    assert Steps(identity["steps"]).identity() == identity
    assert (steps.sample_rate, steps.channels, steps.mono) == (16000, 1, "mean")


def test_order_is_part_of_the_identity():
    one, other = Steps(["clip", {"peak": -1}]), Steps([{"peak": -1}, "clip"])
    assert one.identity() != other.identity()
    assert Steps([]).identity()["steps"] == []
    assert (Steps([]).sample_rate, Steps([]).channels) == (None, None)


@pytest.mark.parametrize(
    "step",
    [
        {"mono": "mean"},
        {"mono": "first"},
        "stereo",
        "remove_dc",
        "clip",
        "pcm16",
        {"peak": -1.0},
        {"positive_max": 0.1},
        {"at_least": 2.0},
        {"exactly": 0.5},
        {"loudness": {"target": -14, "floor": 0.002}},
        {"resample": {"rate": 8000, "method": "sinc_kaiser64"}},
    ],
)
def test_every_step_keeps_what_it_is_given_and_gives_finite_float32(step):
    for given in (noise(channels=2), sound(np.zeros((2, RATE))), sound(np.full((1, 1), 0.3))):
        before = given.waveform.clone()
        made = run(given, step)
        assert torch.equal(given.waveform, before)
        assert made.waveform.dtype == torch.float32
        assert made.waveform.ndim == 2
        assert made.waveform.isfinite().all()
    assert {next(iter(entry)) for entry in Steps([step]).canonical()} <= set(STEPS)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("clip", "expected a list of steps"),
        (None, "expected a list of steps"),
        ({"mono": "mean"}, "expected a list of steps"),
        (7, "expected a list of steps"),
        (["clipp"], r"unknown step 'clipp'\. Did you mean clip\? Known: mono"),
        (["xyz"], r"unknown step 'xyz'\. Known"),
        ([{"mono": "mean", "clip": None}], "a step is a name or one name with its value"),
        ([["clip"]], "a step is a name or one name with its value"),
        ([{}], "a step is a name or one name with its value"),
        ([{1: 2}], "a step is a name or one name with its value"),
        ([None], "a step is a name or one name with its value"),
        ([{"clip": 1}], "step clip has no value, got 1"),
        (["mono"], r"step mono: missing fields \['how'\]"),
        ([{"mono": "left"}], "step mono: expected mean, first or joined, got 'left'"),
        ([{"mono": ["mean"]}], "step mono: expected mean, first or joined"),
        (["peak"], r"step peak: missing fields \['level'\]"),
        ([{"peak": "loud"}], "step peak: level must be a number, got 'loud'"),
        ([{"peak": True}], "step peak: level must be a number, got True"),
        ([{"peak": math.nan}], "step peak: level must be a number, got nan"),
        ([{"peak": {"levle": 1}}], r"unknown fields \['levle'\]\. Did you mean level"),
        ([{"loudness": -14}], r"step loudness: missing fields \['floor'\]"),
        ([{"loudness": {"target": -14, "floor": -1}}], "cannot be negative"),
        ([{"resample": 16000}], r"step resample: missing fields \['method'\]"),
        ([{"resample": {"method": "julius"}}], r"step resample: missing fields \['rate'\]"),
        ([{"resample": {"rate": 16000, "method": "jules"}}], "must be one of julius"),
        ([{"resample": {"rate": 16000, "method": ["julius"]}}], "must be one of julius"),
        ([{"resample": {"rate": 16000.0, "method": "julius"}}], "positive whole number of Hz"),
        ([{"resample": {"rate": 0, "method": "julius"}}], "positive whole number of Hz"),
        ([{"resample": {"rate": 10**9, "method": "julius"}}], "768000 at most, got 1000000000"),
        ([{"resample": {"rate": True, "method": "julius"}}], "positive whole number of Hz"),
        (
            [{"resample": {"rate": 1, "method": "julius", "decimate_from": 2}}],
            "decimate_from must be a list of rates",
        ),
        (
            [{"resample": {"rate": 1, "method": "julius", "double_speed_from": ["2"]}}],
            "positive whole number of Hz",
        ),
        ([{"positive_max": 0}], "floor must be above zero"),
        ([{"positive_max": {"floor": 1, "unit": "volt"}}], "unit must be full_scale or pcm16"),
        ([{"pcm16": 8}], "scale must be 32767 or 32768, got 8"),
        (
            [{"pcm16": {"rounding": "up"}}],
            "rounding must be one of nearest, down, truncate, got 'up'",
        ),
        ([{"at_least": -1}], "seconds must be above 0"),
        ([{"exactly": 0}], "seconds must be above 0"),
        ([{"exactly": "10 s"}], "seconds must be a number, got '10 s'"),
        ([{"exactly": 1e9}], "at most 3600"),
    ],
)
def test_a_list_that_means_nothing_is_refused(steps, message):
    with pytest.raises(StepError, match=message):
        Steps(steps)


@pytest.mark.parametrize(
    ("steps", "given", "message"),
    [
        ([{"loudness": {"target": -14, "floor": 0}}], noise(channels=6), "Put `mono` before"),
        (
            [{"resample": {"rate": 16000, "method": "decimate"}}],
            noise(rate=44100),
            "step resample: decimate .* 44100 Hz is no multiple",
        ),
        (
            [{"resample": {"rate": 16000, "method": "sinc_hann6", "decimate_from": [44100]}}],
            noise(rate=44100),
            "44100 Hz is no multiple",
        ),
    ],
)
def test_a_step_that_cannot_be_done_with_a_sound_is_named(steps, given, message):
    with pytest.raises(StepError, match=message):
        Steps(steps)(given)


def test_a_missing_package_is_known_before_any_sound(monkeypatch):
    steps = Steps([{"resample": {"rate": 16000, "method": "resampy_kaiser_best"}}])
    monkeypatch.setattr("evaluation.preparation.resample.find_spec", lambda name: None)
    assert "pip install '.[resampy]'" in steps.missing()
    assert steps.identity()["resamplers"] == []
    assert Steps(["clip"]).missing() is None
    with pytest.raises(StepError, match=r"step resample: .* needs the package resampy"):
        steps(noise(rate=44100))
