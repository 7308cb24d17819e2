import pytest
import torch

from audiogen.lm.guidance import Guidance
from audiogen.lm.plan import Plan, frame_indices, leading_frames
from audiogen.tokens.make import make_pattern


def plan(pattern, *, num_frames=4, prompt_frames=0, scale=3.0, frames=None, codebooks=2):
    return Plan.of(
        make_pattern(pattern, num_codebooks=codebooks),
        num_frames=num_frames,
        prompt_frames=prompt_frames,
        guidance=Guidance(scale=scale, frames=frames),
    )


DELAY, UNROLL, COARSE = ({"name": name} for name in ("delay", "unroll", "coarse_first"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (DELAY, [-1, 0, 1, 2, 3, 3]),
        ({"name": "delay", "delays": [1, 0]}, [-1, 0, 0, 1, 2, 3]),
        (UNROLL, [-1, 0, 0, 1, 1, 2, 2, 3, 3]),
        (COARSE, [-1, 0, 1, 2, 3, 0, 1, 2, 3]),
    ],
)
def test_the_frame_a_step_is_about(pattern, expected):
    """That of codebook 0 where it has one; written out by hand from the layouts."""
    layout = make_pattern(pattern, num_codebooks=2).layout(4)
    assert leading_frames(layout) == expected


def test_a_prompt_needs_no_draws():
    made = plan(DELAY, prompt_frames=2)
    assert made.steps == [3, 4, 5]
    assert made.missing.tolist() == [
        [False, False, False, True, True, False],
        [False, False, False, False, True, True],
    ]
    assert made.complete == [2, 3, 4, 5]
    assert made.max_steps == 5


@pytest.mark.parametrize(
    ("scale", "frames", "expected"),
    [
        (3.0, None, ["both"] * 5),
        (-1.0, None, ["both"] * 5),
        (1.0, None, ["caption"] * 5),
        (1, (0, 9), ["caption"] * 5),
        (0.0, None, ["none"] * 5),
        (3.0, (1, 3), ["caption", "both", "both", "caption", "caption"]),
        (0.0, (0, 1), ["none", "caption", "caption", "caption", "caption"]),
        (3.0, (2, 2), ["caption"] * 5),
        (3.0, (3, 99), ["caption", "caption", "caption", "both", "both"]),
        (3.0, (-5, 1), ["both", "caption", "caption", "caption", "caption"]),
    ],
)
def test_what_each_step_needs(scale, frames, expected):
    made = plan(DELAY, scale=scale, frames=frames)
    assert [made.passes[step] for step in made.steps] == expected
    assert made.halves == ({"caption", "none"} if "both" in expected else set(expected))


def test_where_the_codes_of_a_frame_are():
    pattern = make_pattern(DELAY, num_codebooks=2)
    sequence = torch.arange(12).view(1, 2, 6)
    indices = frame_indices(pattern, num_frames=4, num_steps=6)
    codes = sequence.flatten(1)[:, indices]
    assert codes.tolist() == [[[1, 8], [2, 9], [3, 10], [4, 11]]]


@pytest.mark.parametrize("frames", [(1,), (3, 1), (0, 2.5), "ab", 4, (True, 2), (None, 3)])
def test_refuses_frames_that_are_no_window(frames):
    with pytest.raises(ValueError, match="guidance_frames are the first frame that is guided"):
        Guidance(scale=3.0, frames=frames)


def test_refuses_two_steps_that_are_no_switch():
    with pytest.raises(ValueError, match="two_step must be true or false, got 1"):
        Guidance(scale=3.0, two_step=1)
