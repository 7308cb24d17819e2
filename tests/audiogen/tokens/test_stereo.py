import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.tokens.make import make_pattern
from audiogen.tokens.patterns import build_sequence
from audiogen.tokens.stereo import merge_channels, split_channels
from tests.audiogen.tokens.conftest import mono_patterns


def draw_channels(codebooks, num_frames):
    return torch.randint(0, 1000, (2, 3, codebooks, num_frames))


@pytest.mark.parametrize("per_timestep", [False, True])
@pytest.mark.parametrize(("codebooks", "num_frames"), [(1, 1), (4, 1), (1, 5), (3, 7), (2, 0)])
def test_splitting_is_the_inverse_of_merging(codebooks, num_frames, per_timestep):
    torch.manual_seed(0)
    left, right = draw_channels(codebooks, num_frames)
    codes = merge_channels(left, right, per_timestep=per_timestep)
    again = split_channels(codes, per_timestep=per_timestep)
    assert torch.equal(again[0], left)
    assert torch.equal(again[1], right)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4).flatmap(lambda k: st.tuples(mono_patterns(k), st.just(k))), st.data())
def test_the_pattern_is_the_one_of_a_channel_over_merged_codes(case, data):
    """What is read is the same whether frames were interleaved before the pattern or by it."""
    options, codebooks = case
    num_frames = data.draw(st.integers(1, 5))
    left, right = draw_channels(codebooks, num_frames)
    channel = make_pattern(options, num_codebooks=codebooks)
    stereo = {"name": "stereo", "pattern": options}
    side_by_side = make_pattern(stereo, num_codebooks=2 * codebooks)
    codes = merge_channels(left, right)
    sequence = build_sequence(codes, side_by_side.layout(num_frames), fill=-1)
    for side, codes_of_side in zip(split_channels(sequence), (left, right), strict=True):
        assert torch.equal(side, build_sequence(codes_of_side, channel.layout(num_frames), fill=-1))
    in_turn = make_pattern(stereo | {"per_timestep": True}, num_codebooks=2 * codebooks)
    sequence = build_sequence(codes, in_turn.layout(num_frames), fill=-1)
    merged = merge_channels(left, right, per_timestep=True)
    expected = build_sequence(merged, channel.layout(2 * num_frames), fill=-1)
    assert torch.equal(torch.maximum(*split_channels(sequence)), expected)


def test_refuses_what_is_not_of_two_channels():
    with pytest.raises(ValueError, match=r"left \[1, 2, 3\] and right \[1, 2, 4\]"):
        merge_channels(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match=r"even number of codebooks, got shape \[1, 3, 4\]"):
        split_channels(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r"even number of frames, got shape \[1, 2, 3\]"):
        split_channels(torch.zeros(1, 2, 3), per_timestep=True)
