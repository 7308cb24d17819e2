import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.tokens.make import make_pattern
from audiogen.tokens.patterns import align_logits, build_sequence, revert_sequence
from tests.audiogen.tokens.conftest import patterns

SPECIAL = 999


def exactly(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@st.composite
def codes_and_layouts(draw):
    options, codebooks = draw(patterns())
    pattern = make_pattern(options, num_codebooks=codebooks)
    shape = (draw(st.integers(1, 3)), codebooks, draw(st.integers(1, 9)))
    generator = torch.manual_seed(draw(st.integers(0, 2**31)))
    return torch.randint(0, SPECIAL, shape, generator=generator), pattern.layout(shape[-1])


@settings(max_examples=100, deadline=None)
@given(codes_and_layouts())
def test_revert_is_the_inverse_of_build(case):
    codes, layout = case
    sequence = build_sequence(codes, layout, fill=SPECIAL)
    assert sequence.shape == (len(codes), *layout.shape)
    assert (sequence[:, :, 0] == SPECIAL).all()
    reverted, valid = revert_sequence(sequence, layout, fill=-1)
    exactly(reverted, codes)
    assert valid.all()
    assert (sequence == SPECIAL).sum() == sequence.numel() - codes.numel()


@settings(max_examples=100, deadline=None)
@given(codes_and_layouts(), st.integers(1, 40))
def test_a_cut_sequence_reverts_to_what_it_holds(case, steps):
    codes, layout = case
    sequence = build_sequence(codes, layout, fill=SPECIAL)[:, :, :steps]
    reverted, valid = revert_sequence(sequence, layout, fill=-1)
    held = torch.zeros_like(valid)
    for k, frames in enumerate(layout[:, :steps].tolist()):
        held[k, [frame for frame in frames if frame >= 0]] = True
    exactly(valid, held)
    exactly(reverted, codes.where(valid, -1))


@settings(max_examples=100, deadline=None)
@given(codes_and_layouts())
def test_logits_are_moved_to_the_code_they_predict(case):
    """A model that copies the next step's code into its logits must get every code right."""
    codes, layout = case
    sequence = build_sequence(codes, layout, fill=SPECIAL)
    aligned, valid = align_logits(sequence[:, :, 1:, None].float(), layout)
    exactly(aligned[..., 0], codes.float())
    assert valid.all()


def test_a_segment_shorter_than_the_longest_delay_keeps_what_fits():
    layout = make_pattern({"name": "delay"}, num_codebooks=4).layout(2)
    logits = torch.zeros(1, 4, 2, 5)
    aligned, valid = align_logits(logits, layout)
    assert valid.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert torch.equal(aligned.isnan().any(-1)[0], ~valid)


def test_refuses_what_does_not_fit():
    layout = make_pattern({"name": "delay"}, num_codebooks=2).layout(3)
    with pytest.raises(ValueError, match=r"expected codes \[B, 2, T\].*got shape \[1, 3, 3\]"):
        build_sequence(torch.zeros(1, 3, 3, dtype=torch.long), layout, fill=0)
    with pytest.raises(ValueError, match=r"got shape \[1, 3, 4\]"):
        revert_sequence(torch.zeros(1, 3, 4, dtype=torch.long), layout, fill=0)
