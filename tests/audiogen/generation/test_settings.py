"""What a call may ask for, and what is said about what makes no sense."""

import numpy as np
import pytest

from audiogen.generation.settings import (
    Settings,
    check_options,
    chosen,
    count_frames,
    window_frames,
)


@pytest.mark.parametrize(
    ("duration", "frames"), [(10, 500), (10.28, 514), (10.54, 527), (10.7, 535), (0.02, 1)]
)
def test_frames_are_whole(duration, frames):
    assert count_frames(duration, 50) == frames


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf"), 0.005, "5", None, True])
def test_durations_that_make_no_sense(duration):
    with pytest.raises(ValueError, match=r"^duration "):
        count_frames(duration, 50)


def test_windows_of_the_reference():
    assert window_frames(max_duration=10, extend_stride=None, frame_rate=50) == (500, 100)
    assert window_frames(max_duration=10, extend_stride=2.5, frame_rate=50) == (500, 125)


def test_a_short_window_gets_a_short_stride():
    assert window_frames(max_duration=1, extend_stride=None, frame_rate=50) == (50, 10)
    with pytest.raises(ValueError, match="extend_stride of 1 s leaves no overlap"):
        window_frames(max_duration=1, extend_stride=1, frame_rate=50)


def test_a_misspelled_option_is_named():
    with pytest.raises(TypeError, match="'guidence_scale'; did you mean guidance_scale"):
        check_options({"guidence_scale": 2})
    with pytest.raises(TypeError, match="'qqq'; known are seed, seeds"):
        check_options({"qqq": 2})


def test_options_that_make_no_sense():
    with pytest.raises(ValueError, match='padding is "own" or "batch"'):
        check_options({"padding": "left"})
    with pytest.raises(ValueError, match="progress is a function"):
        check_options({"progress": "bar"})
    with pytest.raises(ValueError, match="guidance_scale must be a finite number, got nan"):
        Settings(guidance_scale=float("nan"))
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        chosen(Settings(), {"temperature": -1.0})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("guidance_scale", None),
        ("guidance_scale", "3"),
        ("guidance_scale", True),
        ("temperature", None),
        ("temperature", "1"),
        ("temperature", float("inf")),
        ("top_k", True),
        ("top_k", 2.5),
        ("top_p", None),
    ],
)
def test_what_is_no_number_is_refused_by_name(option, value):
    with pytest.raises(ValueError, match=f"^{option} must be a .*number.* got {value!r}"):
        chosen(Settings(), {option: value})


def test_numbers_of_numpy_are_numbers():
    for duration in (np.int64(1), np.float32(1), np.float64(1), np.float16(1)):
        assert count_frames(duration, 50) == 50


def test_options_take_the_place_of_settings():
    settings = chosen(Settings(top_k=5), {"temperature": 0.5, "seed": 1, "padding": "own"})
    assert settings == Settings(top_k=5, temperature=0.5)
