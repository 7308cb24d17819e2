"""Sounds beyond one window: whole frames, exact counts, and the overlap of the reference."""

import pytest
import torch

from audiogen.generation.windows import generate_windows
from audiogen.lm.generate import generate_codes

GREEDY = {
    "generators": None,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 0.0,
    "guidance_scale": 3.0,
}


@pytest.fixture
def text(model):
    return model.condition(["rain", "a dog"])


def run(model, text, *, num_frames, window=20, stride=6, prompt=None):
    if prompt is None:
        prompt = torch.empty(len(text[0]), 3, 0, dtype=torch.long)
    frames = generate_windows(
        model.lm,
        *text,
        num_frames=num_frames,
        window=window,
        stride=stride,
        prompt=prompt,
        **GREEDY,
    )
    return torch.cat([prompt, torch.stack(list(frames), dim=-1)], dim=-1)


@pytest.mark.parametrize("num_frames", [1, 19, 20, 21, 25, 26, 27, 53])
@pytest.mark.parametrize("stride", [1, 6, 19])
def test_any_number_of_frames(model, text, num_frames, stride):
    codes = run(model, text, num_frames=num_frames, stride=stride)
    assert codes.shape == (2, 3, num_frames)


def test_each_window_continues_the_last_frames_of_the_one_before(model, text):
    """The loop of the reference, written out: 20 frames, then the last 14 as prompt for 6 more."""
    first = generate_codes(model.lm, *text, num_frames=20, **GREEDY)
    second = generate_codes(model.lm, *text, num_frames=20, prompt=first[..., 6:], **GREEDY)
    rest = generate_codes(model.lm, *text, num_frames=17, prompt=second[..., 6:], **GREEDY)
    expected = torch.cat([first, second[..., 14:], rest[..., 14:]], dim=-1)
    assert torch.equal(run(model, text, num_frames=29), expected)


def test_a_shorter_sound_is_not_the_beginning_of_a_longer_window_cut(model, text):
    """Within one window, length does not change what comes first; the reference says the same."""
    long = run(model, text, num_frames=20)
    assert torch.equal(run(model, text, num_frames=11), long[..., :11])


def test_a_prompt_longer_than_a_window(model, text):
    prompt = torch.randint(16, (2, 3, 33), generator=torch.Generator().manual_seed(0))
    codes = run(model, text, num_frames=40, prompt=prompt)
    assert torch.equal(codes[..., :33], prompt)
    tail = generate_codes(model.lm, *text, num_frames=20, prompt=prompt[..., 19:], **GREEDY)
    assert torch.equal(codes[..., 33:39], tail[..., 14:])


@pytest.mark.parametrize("code", [-1, 16])
def test_a_prompt_is_checked_where_no_window_sees_it(model, text, code):
    prompt = torch.zeros(2, 3, 33, dtype=torch.long)
    prompt[0, 0, 0] = code
    with pytest.raises(ValueError, match=r"prompt codes must be in \[0, 16\)"):
        run(model, text, num_frames=40, prompt=prompt)


def test_a_prompt_that_leaves_nothing_to_do(model, text):
    prompt = torch.zeros(2, 3, 8, dtype=torch.long)
    with pytest.raises(ValueError, match="8 frames and must be shorter than the 8 asked for"):
        run(model, text, num_frames=8, prompt=prompt)
