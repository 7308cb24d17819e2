from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.tokens.patterns import align_logits, build_sequence, delay_layout, revert_sequence

GOLDEN = Path(__file__).parents[2] / "golden" / "lm.npz"  # written by golden/make_lm.py
SPECIAL = 999
PATTERNS = {"delay": [0, 1, 2, 3], "delay_custom": [0, 0, 2, 5]}


@pytest.fixture(scope="module")
def golden():
    arrays = np.load(GOLDEN)
    names = [name for name in arrays if name.startswith("patterns::")]
    return {name.removeprefix("patterns::"): torch.from_numpy(arrays[name]) for name in names}


def exactly(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", PATTERNS)
def test_matches_golden(golden, name):
    layout = delay_layout(PATTERNS[name], golden["codes"].shape[-1])
    sequence = build_sequence(golden["codes"], layout, fill=SPECIAL)
    exactly(layout >= 0, golden[f"{name}_mask"])
    exactly(sequence, golden[f"{name}_seq"])
    codes, valid = revert_sequence(sequence, layout, fill=-1)
    exactly(codes, golden[f"{name}_rev"])
    exactly(valid, golden[f"{name}_rev_mask"])


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("truncated", [False, True])
def test_logits_match_golden(golden, name, truncated):
    layout = delay_layout(PATTERNS[name], 10)
    end = "_valid" if truncated else ""
    steps = golden[f"{name}{end}_seq"].shape[-1]
    logits = torch.arange(4.0 * steps).view(1, 4, steps, 1)
    # The reference reads the last step too and throws its logits away.
    aligned, valid = align_logits(logits[:, :, :-1], layout)
    exactly(aligned.permute(0, 3, 1, 2), golden[f"{name}{end}_revlogits"])
    exactly(valid, golden[f"{name}{end}_revlogits_mask"])


@st.composite
def codes_and_delays(draw):
    delays = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    batch, frames = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**31))
    shape = (batch, len(delays), frames)
    return torch.randint(0, SPECIAL, shape, generator=torch.manual_seed(seed)), delays


@settings(max_examples=60, deadline=None)
@given(codes_and_delays())
def test_revert_is_the_inverse_of_build(case):
    codes, delays = case
    layout = delay_layout(delays, codes.shape[-1])
    sequence = build_sequence(codes, layout, fill=SPECIAL)
    assert sequence.shape == (*codes.shape[:2], codes.shape[-1] + max(delays) + 1)
    assert (sequence[:, :, 0] == SPECIAL).all()
    reverted, valid = revert_sequence(sequence, layout, fill=-1)
    exactly(reverted, codes)
    assert valid.all()
    for k, delay in enumerate(delays):
        exactly(sequence[:, k, 1 + delay :][..., : codes.shape[-1]], codes[:, k])
    assert (sequence == SPECIAL).sum() == sequence.numel() - codes.numel()


@settings(max_examples=60, deadline=None)
@given(codes_and_delays(), st.integers(1, 20))
def test_a_cut_sequence_reverts_to_what_it_holds(case, steps):
    codes, delays = case
    layout = delay_layout(delays, codes.shape[-1])
    sequence = build_sequence(codes, layout, fill=SPECIAL)[:, :, :steps]
    reverted, valid = revert_sequence(sequence, layout, fill=-1)
    frames = torch.arange(codes.shape[-1])
    exactly(valid, frames + 1 + torch.tensor(delays)[:, None] < sequence.shape[-1])
    exactly(reverted, codes.where(valid, -1))


@settings(max_examples=60, deadline=None)
@given(codes_and_delays())
def test_logits_are_moved_to_the_code_they_predict(case):
    """A model that copies the next step's code into its logits must get every code right."""
    codes, delays = case
    layout = delay_layout(delays, codes.shape[-1])
    sequence = build_sequence(codes, layout, fill=SPECIAL)
    aligned, valid = align_logits(sequence[:, :, 1:, None].float(), layout)
    exactly(aligned[..., 0], codes.float())
    assert valid.all()


def test_a_segment_shorter_than_the_longest_delay_keeps_what_fits():
    layout = delay_layout([0, 1, 2, 3], 2)
    logits = torch.zeros(1, 4, 2, 5)
    aligned, valid = align_logits(logits, layout)
    assert valid.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert torch.equal(aligned.isnan().any(-1)[0], ~valid)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"cannot be negative: \[0, -1\]"):
        delay_layout([0, -1], 3)
    with pytest.raises(ValueError, match="at least one frame, got num_frames=0"):
        delay_layout([0, 1], 0)
    with pytest.raises(ValueError, match="one delay per codebook"):
        delay_layout([], 3)
    layout = delay_layout([0, 1], 3)
    with pytest.raises(ValueError, match=r"expected codes \[B, 2, T\].*got shape \[1, 3, 3\]"):
        build_sequence(torch.zeros(1, 3, 3, dtype=torch.long), layout, fill=0)
    with pytest.raises(ValueError, match=r"got shape \[1, 3, 4\]"):
        revert_sequence(torch.zeros(1, 3, 4, dtype=torch.long), layout, fill=0)
