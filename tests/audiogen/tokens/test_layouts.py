"""Layouts against the reference's arrays and against a second writing of every pattern."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.tokens.make import make_pattern
from audiogen.tokens.patterns import align_logits, build_sequence, revert_sequence
from tests.audiogen.tokens.conftest import patterns

GOLDEN = Path(__file__).parents[2] / "golden" / "patterns.npz"  # written by make_patterns.py
REFERENCE = {
    "delay": {"name": "delay"},
    "delay_custom": {"name": "delay", "delays": [0, 0, 2, 5]},
    "delay_flatten2": {"name": "delay", "flatten_first": 2},
    "delay_empty3": {"name": "delay", "empty_initial": 3},
    "parallel": {"name": "parallel"},
    "unroll": {"name": "unroll"},
    "unroll_partial": {"name": "unroll", "flattening": [0, 1, 1, 2], "delays": [0, 3, 3, 3]},
    "coarse_first": {"name": "coarse_first"},
    "coarse_first_delays": {"name": "coarse_first", "delays": [0, 1, 2]},
    "musiclm": {"name": "musiclm", "group_by": 2},
}


@pytest.fixture(scope="module")
def golden():
    arrays = np.load(GOLDEN)
    wide = {np.dtype(np.int16): np.int64}
    return {
        name: torch.from_numpy(
            arrays[name].astype(wide.get(arrays[name].dtype, arrays[name].dtype))
        )
        for name in arrays
    }


def exactly(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


def pattern_arrays(options, codes, fill):
    """Everything the reference says about a pattern, by ours."""
    pattern = make_pattern(options, num_codebooks=codes.shape[1])
    num_frames = codes.shape[2]
    layout = pattern.layout(num_frames)
    arrays = {
        "num_sequence_steps": torch.tensor(layout.shape[1] - 1),
        "max_delay": torch.tensor(pattern.max_delay),
        "first_step_t": pattern.steps(num_frames).amin(dim=0),
    }
    for end, steps in (("", layout.shape[1]), ("valid_", pattern.count_valid_steps(num_frames))):
        part = layout[:, :steps]
        sequence = build_sequence(codes, part, fill=fill)
        codebooks = torch.arange(len(layout))[:, None]
        # The reference reads the last step too and throws its logits away.
        logits = torch.arange(float(layout.shape[0] * steps)).view(1, -1, steps, 1)[:, :, :-1]
        reverted, valid = revert_sequence(sequence, layout, fill=-1)
        aligned, aligned_valid = align_logits(logits, layout)
        arrays |= {
            f"{end}seq": sequence,
            f"{end}idx": (codebooks * num_frames + part).where(part >= 0, codes[0].numel()),
            f"{end}mask": part >= 0,
            f"{end}rev": reverted,
            f"{end}rev_mask": valid,
            f"{end}revlogits": aligned.permute(0, 3, 1, 2),
            f"{end}revlogits_mask": aligned_valid,
        }
    return arrays


@pytest.mark.parametrize("name", REFERENCE)
def test_every_array_of_the_reference(golden, name):
    arrays = pattern_arrays(REFERENCE[name], golden["codes"], int(golden["special"]))
    assert len(arrays) == 17
    for part, array in arrays.items():
        exactly(array, golden[f"{name}_{part}"])


def test_no_array_of_the_reference_is_left_out(golden):
    assert len(golden) == 2 + 17 * len(REFERENCE)


def written_out(options, codebooks, num_frames):
    """The steps of a pattern one by one, each a set of (codebook, frame): slow and plain."""
    options = dict(options)
    name = options.pop("name")
    return globals()[f"write_{name}"](codebooks, num_frames, **options)


def write_delay(codebooks, num_frames, delays=None, flatten_first=0, empty_initial=0):
    delays = list(range(codebooks)) if delays is None else delays
    steps = [set() for _ in range(1 + empty_initial)]
    flat = min(flatten_first, num_frames)
    steps += [{(k, t)} for t in range(flat) for k in range(codebooks)]
    for now in range(flat, num_frames + max(delays)):
        steps.append({(k, now - d) for k, d in enumerate(delays) if flat <= now - d < num_frames})
    return steps


def write_parallel(codebooks, num_frames, empty_initial=0):
    return write_delay(codebooks, num_frames, [0] * codebooks, empty_initial=empty_initial)


def write_unroll(codebooks, num_frames, flattening=None, delays=None):
    flattening = list(range(codebooks)) if flattening is None else flattening
    delays = [0] * codebooks if delays is None else delays
    group_delays = dict(zip(flattening, delays, strict=True))
    end = num_frames + max(delays)
    due = sorted(
        (t + delay, t, group)
        for group, delay in group_delays.items()
        for t in range(end)
        if t + delay < end
    )
    return [set()] + [
        {(k, t) for k in range(codebooks) if flattening[k] == group and t < num_frames}
        for _, t, group in due
    ]


def write_coarse_first(codebooks, num_frames, delays=None):
    delays = [0] * (codebooks - 1) if delays is None else delays
    steps = [set(), *({(0, t)} for t in range(num_frames))]
    if codebooks > 1:
        fine = write_delay(codebooks - 1, num_frames, delays)[1:]
        steps += [{(k + 1, t) for k, t in step} for step in fine]
    return steps


def write_musiclm(codebooks, num_frames, group_by):
    steps = [set()]
    for first in range(0, codebooks, group_by):
        group = range(first, min(first + group_by, codebooks))
        steps += [{(k, t)} for t in range(num_frames) for k in group]
    return steps


def write_stereo(codebooks, num_frames, pattern, per_timestep):
    """Codebook k of a channel is 2 k on the left, 2 k + 1 on the right."""
    if per_timestep:
        steps = written_out(pattern, codebooks // 2, 2 * num_frames)
        return [{(2 * k + t % 2, t // 2) for k, t in step} for step in steps]
    steps = written_out(pattern, codebooks // 2, num_frames)
    return [{(2 * k + side, t) for k, t in step for side in (0, 1)} for step in steps]


@settings(max_examples=200, deadline=None)
@given(patterns(), st.integers(1, 8))
def test_a_second_writing_gives_the_same_layout(case, num_frames):
    options, codebooks = case
    pattern = make_pattern(options, num_codebooks=codebooks)
    steps = written_out(options, codebooks, num_frames)
    expected = torch.full((codebooks, len(steps)), -1)
    for s, step in enumerate(steps):
        for k, t in step:
            expected[k, s] = t
    exactly(pattern.layout(num_frames), expected)
    longest = max(delays_of(options, codebooks), default=0)
    assert pattern.count_valid_steps(num_frames) == len(steps) - longest
    assert make_pattern(pattern.options, num_codebooks=codebooks) == pattern


def delays_of(options, codebooks):
    if options["name"] == "stereo":
        return delays_of(options["pattern"], codebooks // 2)
    standard = range(codebooks) if options["name"] == "delay" else ()
    return standard if options.get("delays") is None else options["delays"]


@settings(max_examples=100, deadline=None)
@given(patterns(), st.integers(1, 8))
def test_every_frame_is_held_once_and_in_order(case, num_frames):
    options, codebooks = case
    pattern = make_pattern(options, num_codebooks=codebooks)
    layout, steps = pattern.layout(num_frames), pattern.steps(num_frames)
    frames = torch.arange(num_frames).expand(codebooks, -1)
    exactly(layout.gather(1, steps), frames)
    assert (layout >= 0).sum() == codebooks * num_frames
    assert (layout[:, 0] == -1).all()
    assert (steps.diff(dim=1) > 0).all()


def test_options_left_out_are_filled_in():
    pattern = make_pattern({"name": "stereo"}, num_codebooks=4)
    channel = {"name": "delay", "delays": [0, 1], "flatten_first": 0, "empty_initial": 0}
    assert pattern.options == {"name": "stereo", "pattern": channel, "per_timestep": False}
    assert pattern.layout(2).tolist() == [
        [-1, 0, 1, -1],
        [-1, 0, 1, -1],
        [-1, -1, 0, 1],
        [-1, -1, 0, 1],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "delay", "delays": [0]}, "one delay per codebook: 4 codebooks, delays has 1"),
        ({"name": "delay", "delays": [0, 1, -1, 2]}, r"cannot be negative: \[0, 1, -1, 2\]"),
        ({"name": "delay", "delays": [0, 1, 2, 2.5]}, "delays must be whole numbers"),
        ({"name": "delay", "delays": "0123"}, "delays must be a list of whole numbers, got '0123'"),
        ({"name": "delay", "delays": 3}, "delays must be a list of whole numbers, got 3"),
        ({"name": "delay", "flatten_first": -1}, "flatten_first must be .* at least 0, got -1"),
        ({"name": "delay", "empty_initial": 1.0}, "empty_initial must be a whole number .* 1.0"),
        ({"name": "delay", "group_by": 2}, "delay has no option 'group_by': it takes delays, fla"),
        ({"name": "parallel", "delays": [0]}, "parallel has no option 'delays': it takes empty"),
        ({"name": "parallel", "empty_initial": -2}, "empty_initial must be .* got -2"),
        ({"name": "unroll", "flattening": [0, 1, 2]}, "one group per codebook: 4 .* has 3 entries"),
        ({"name": "unroll", "flattening": [0, 1, 1, 3]}, "without a gap, got .0, 1, 1, 3."),
        ({"name": "unroll", "flattening": [1, 2, 3, 4]}, "groups 0, 1, ... without a gap"),
        ({"name": "unroll", "delays": [0, 1]}, "one delay per codebook: 4 codebooks, delays has 2"),
        (
            {"name": "unroll", "flattening": [0, 0, 1, 1], "delays": [0, 1, 2, 2]},
            "one group share a step, so they need the same delay",
        ),
        ({"name": "coarse_first", "delays": [0] * 4}, "expected 3 delays of at least 0, got"),
        ({"name": "coarse_first", "delays": [0, 0, -1]}, "expected 3 delays of at least 0, got"),
        ({"name": "musiclm", "group_by": 0}, "group_by must be a whole number of at least 1"),
        ({"name": "musiclm", "group_by": None}, "group_by must be a whole number of at least 1"),
        ({"name": "stereo", "per_timestep": 1}, "per_timestep must be true or false, got 1"),
        ({"name": "stereo", "pattern": {"name": "delay", "delays": [0] * 4}}, "2 codebooks"),
        ({"name": "stereo", "pattern": "delay"}, "a pattern is a mapping"),
        ({"name": "spiral"}, "name delay, parallel, .* got {'name': 'spiral'}"),
        ({"delays": [0, 1, 2, 3]}, "a pattern is a mapping with the name"),
        ({"name": ["delay"]}, "a pattern is a mapping with the name"),
        ("delay", "a pattern is a mapping with the name .* got 'delay'"),
    ],
)
def test_refuses_what_describes_no_pattern(options, message):
    with pytest.raises(ValueError, match=message):
        make_pattern(options, num_codebooks=4)


def test_refuses_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match=r"even number of codebooks, half .* got 3"):
        make_pattern({"name": "stereo"}, num_codebooks=3)
    with pytest.raises(ValueError, match="num_codebooks must be at least 1, got 0"):
        make_pattern({"name": "parallel"}, num_codebooks=0)
    with pytest.raises(ValueError, match="at least one frame, got num_frames=0"):
        make_pattern({"name": "parallel"}, num_codebooks=2).layout(0)
