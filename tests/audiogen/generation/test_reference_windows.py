"""Our windows against the reference's loop, written out from its description, number by number.

It computes in seconds and rounds every product down, so it fails, or loses a frame, for some
durations; where it works, what is set by AudioCraft's names gives the very same windows.
"""

import pytest

from audiogen.generation.reference import reference_plan
from audiogen.generation.settings import count_frames, window_frames, window_of
from audiogen.generation.windows import plan_windows

RATE = 50


def reference_windows(duration, stride, longest, *, prompt=0):
    """First frame, first new frame and end of every window; None where the reference fails."""
    total = int(duration * RATE)
    if prompt > int(min(duration, longest) * RATE):
        return None
    if duration <= longest:
        return [(0, prompt, total)] if prompt < total else None
    step, offset, windows = int(RATE * stride), 0, []
    while offset + prompt < total:
        frames = int(min(duration - offset / RATE, longest) * RATE)
        if frames <= prompt:
            return None
        windows.append((offset, offset + prompt, offset + frames))
        prompt = max(frames - step, 0)
        offset += step
    return windows


def made(windows):
    return sum(end - done for _, done, end in windows)


def our_windows(duration, stride, longest, *, prompt=0, exact=False):
    """As `audiogen.AudioGen.set_generation_params` and padding="batch" make them."""
    window, step = window_frames(max_duration=longest, extend_stride=stride, frame_rate=RATE)
    sizes = {"max_duration": longest, "frame_rate": RATE}
    plan = reference_plan(duration, stride=step, given=prompt, **sizes)
    if exact or plan is None:
        frames = count_frames(duration, RATE)
        window = window_of(frames, window=window, **sizes)
        plan = list(plan_windows(num_frames=frames, window=window, stride=step, given=prompt))
    return [tuple(entry) for entry in plan]


@pytest.mark.parametrize(
    ("stride", "failures", "short"), [(2, 754, 0), (5, 761, 0), (9.5, 41, 839)]
)
def test_the_same_windows_wherever_the_reference_works(stride, failures, short):
    """For 10.01 s, 10.02 s, ... 60 s; how often it fails is known from a run of another loop."""
    found = {"failures": 0, "short": 0}
    for hundredths in range(1001, 6001):
        duration = hundredths / 100
        expected = reference_windows(duration, stride, 10)
        ours = our_windows(duration, stride, 10)
        if expected is None:
            found["failures"] += 1
        elif made(expected) < int(duration * RATE):
            found["short"] += 1
        else:
            assert ours == expected, duration
            continue
        assert made(ours) == round(duration * RATE)
    assert found == {"failures": failures, "short": short}


@pytest.mark.parametrize("longest", [1.75, 2.0, 4.6])
@pytest.mark.parametrize("stride", [0.58, 0.7, 0.75, 1.13])
def test_windows_and_strides_that_are_no_whole_frames(longest, stride):
    compared = 0
    for hundredths in range(2, 1200):
        expected = reference_windows(hundredths / 100, stride, longest)
        if expected and made(expected) >= int(hundredths / 100 * RATE):
            assert our_windows(hundredths / 100, stride, longest) == expected
            compared += 1
    assert compared > 700


@pytest.mark.parametrize("prompt", [1, 20, 60, 99])
def test_windows_behind_a_prompt(prompt):
    compared = 0
    for hundredths in range(2 * prompt + 2, 1200):
        expected = reference_windows(hundredths / 100, 0.7, 2.0, prompt=prompt)
        if expected and prompt + made(expected) >= int(hundredths / 100 * RATE):
            assert our_windows(hundredths / 100, 0.7, 2.0, prompt=prompt) == expected
            compared += 1
    assert compared > 600


def test_a_window_more_where_the_reference_rounds_its_last_one_down():
    """290 frames, the last of them in a window of its own; without its rounding there is none."""
    assert our_windows(5.8, 0.2, 1.5)[-2:] == [(220, 285, 289), (230, 289, 290)]
    assert our_windows(5.8, 0.2, 1.5, exact=True)[-2:] == [(210, 275, 285), (220, 285, 290)]


def test_what_the_reference_cannot_do():
    assert reference_windows(10.28, 2, 10) is None
    assert our_windows(10.28, 2, 10)[-1] == (100, 500, 514)
    assert reference_windows(12, 2, 10, prompt=500) is None
    assert our_windows(12, 2, 10, prompt=500) == [(100, 500, 600)]
    assert our_windows(20, 2, 10, prompt=740)[0] == (340, 740, 840)


def test_a_call_takes_the_nearest_frame_where_the_reference_rounds_down():
    assert [count_frames(s, RATE, down=True) for s in (2.3, 4.31, 0.58)] == [114, 215, 28]
    assert [count_frames(s, RATE) for s in (2.3, 4.31, 0.58)] == [115, 215, 29]
    assert count_frames(1.99, RATE) == 100
    # A sound as long as the longest window is one, whatever rounding makes of either.
    assert window_of(115, window=114, max_duration=2.3, frame_rate=RATE) == 115
    assert window_of(116, window=114, max_duration=2.3, frame_rate=RATE) == 114
    assert window_of(88, window=87, max_duration=1.75, frame_rate=RATE) == 87


def test_durations_shorter_than_a_frame_by_either_rule():
    assert count_frames(0.015, RATE) == 1
    with pytest.raises(ValueError, match=r"shorter than one frame: ask for 0\.02 s"):
        count_frames(0.015, RATE, down=True)
    with pytest.raises(ValueError, match=r"extend_stride of 0\.01 s is shorter than one frame"):
        window_frames(max_duration=10, extend_stride=0.01, frame_rate=RATE)
