"""Guidance by any scale, in part of the frames, in one pass or two: against everything anew."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.lm.decoding import StepDecoder
from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from audiogen.lm.sampling import sample_codes
from audiogen.tokens.patterns import build_sequence

PATTERNS = {
    "delay": {"name": "delay", "delays": [0, 2, 1]},
    "late": {"name": "delay", "delays": [2, 1, 1], "empty_initial": 1},
    "parallel": {"name": "parallel"},
    "unroll": {"name": "unroll"},
    "coarse_first": {"name": "coarse_first", "delays": [0, 1]},
    "musiclm": {"name": "musiclm", "group_by": 2},
}


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def with_pattern(lm, pattern):
    other = TokenLM(**lm.config | {"delays": None, "pattern": pattern})
    other.load_state_dict(lm.state_dict())
    return other.eval()


@torch.no_grad()
def everything_anew(lm, text, mask, *, num_frames, prompt, scale, frames, rngs):
    """Read the whole sequence for every step, with and without caption, and keep nothing."""
    layout = lm.pattern.layout(num_frames)
    given_frames = prompt.shape[-1]
    codes = torch.full((len(text), lm.num_codebooks, num_frames), lm.special_token)
    codes[:, :, :given_frames] = prompt
    for step in range(1, layout.shape[1]):
        held = layout[:, step].tolist()
        if all(frame < given_frames for frame in held):
            continue
        sequence = build_sequence(codes, layout[:, :step], fill=lm.special_token)
        logits = lm(sequence, text, mask)[:, :, -1]
        frame = next(frame for frame in held if frame >= 0)
        if frames is None or frames[0] <= frame < frames[1]:
            without = lm(sequence, torch.zeros_like(text), torch.zeros_like(mask))[:, :, -1]
            logits = without + scale * (logits - without)
        drawn = sample_codes(logits, generators=rngs, top_k=8)
        for k, frame in enumerate(held):
            if frame >= given_frames:
                codes[:, k, frame] = drawn[:, k]
    return codes


WINDOWS = [None, (0, 3), (2, 5), (4, 99), (3, 3)]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("two_step", [False, True])
@pytest.mark.parametrize(("scale", "prompt_frames"), [(3.0, 0), (0.0, 2), (-1.0, 3)])
def test_against_everything_anew(tiny_lm, captions, pattern, two_step, scale, prompt_frames):
    lm = with_pattern(tiny_lm, PATTERNS[pattern])
    prompt = torch.arange(9 * prompt_frames).view(3, 3, prompt_frames) % 16
    for frames in WINDOWS:
        expected = everything_anew(
            lm,
            *captions,
            num_frames=7,
            prompt=prompt,
            scale=scale,
            frames=frames,
            rngs=generators(1, 2, 3),
        )
        found = generate_codes(
            lm,
            *captions,
            num_frames=7,
            prompt=prompt,
            guidance_scale=scale,
            guidance_frames=frames,
            two_step=two_step,
            generators=generators(1, 2, 3),
            top_k=8,
        )
        assert torch.equal(found, expected), frames


def test_frames_that_are_not_guided_are_those_of_scale_one(tiny_lm, captions):
    call = {"num_frames": 8, "generators": None}
    plain = generate_codes(tiny_lm, *captions, guidance_scale=1.0, **call)
    guided = generate_codes(tiny_lm, *captions, guidance_scale=4.0, **call)
    nowhere = generate_codes(tiny_lm, *captions, guidance_frames=(8, 20), **call)
    everywhere = generate_codes(
        tiny_lm, *captions, guidance_scale=4.0, guidance_frames=(0, 8), **call
    )
    late = generate_codes(tiny_lm, *captions, guidance_scale=4.0, guidance_frames=(5, 8), **call)
    assert torch.equal(nowhere, plain)
    assert torch.equal(everywhere, guided)
    # The longest delay is 2: codes of frames 3 and 4 may be drawn at steps of frame 5 and 6.
    assert torch.equal(late[:, :, :3], plain[:, :, :3])
    assert not torch.equal(late, plain)
    assert not torch.equal(late, guided)


@pytest.fixture
def read(monkeypatch):
    """Rows and steps of everything that is read."""
    shapes = []
    advance = StepDecoder.advance

    def spy(self, sequence):
        shapes.append((len(sequence), sequence.shape[2]))
        return advance(self, sequence)

    monkeypatch.setattr(StepDecoder, "advance", spy)
    return shapes


def test_a_window_costs_nothing_outside_of_it(tiny_lm, captions, read):
    lm = with_pattern(tiny_lm, {"name": "parallel"})
    generate_codes(lm, *captions, num_frames=6, generators=None, guidance_frames=(2, 4))
    before, begin, within, after = [(3, 1)] * 2, [(3, 1), (3, 3)], [(6, 1)], [(3, 1)] * 2
    assert read == before + begin + within + after


def test_half_the_rows_at_once(tiny_lm, captions, read):
    lm = with_pattern(tiny_lm, {"name": "parallel"})
    for options in ({"two_step": True}, {"guidance_scale": 0.0}, {"guidance_scale": 1.0}):
        generate_codes(lm, *captions, num_frames=2, generators=None, **options)
    assert read == [(3, 1)] * 4 + [(3, 1)] * 2 + [(3, 1)] * 2


def test_two_steps_with_biases_and_padding_attended_to(make_lm, captions):
    """No caption says the same however long it is padded, so the codes are those of one step."""
    torch.manual_seed(0)
    lm = make_lm(text_dim=6, dim=24, bias_attn=True, norm_first=False, embedding_std=0.5).eval()
    for parameter in lm.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for mask in (captions[1], None):
        call = (lm, captions[0], mask)
        settings = {"num_frames": 8, "top_k": 0}
        one = generate_codes(*call, generators=generators(1, 2, 3), **settings)
        two = generate_codes(*call, generators=generators(1, 2, 3), two_step=True, **settings)
        assert torch.equal(one, two)


@st.composite
def calls(draw):
    """A small random model, and what it is asked for."""
    heads = draw(st.sampled_from([1, 2, 3]))
    model = {
        "num_codebooks": 3,
        "codebook_size": draw(st.integers(2, 40)),
        "text_dim": 6,
        "dim": heads * draw(st.sampled_from([4, 8])),
        "num_heads": heads,
        "num_layers": draw(st.integers(1, 3)),
        "pattern": draw(st.sampled_from(list(PATTERNS.values()))),
        "norm_first": draw(st.booleans()),
        "bias_attn": draw(st.booleans()),
        "activation": draw(st.sampled_from(["gelu", "relu", "silu"])),
    }
    num_frames = draw(st.integers(1, 6))
    options = {
        "num_frames": num_frames,
        "guidance_scale": draw(st.sampled_from([0.0, 1.0, 3.0, -2.0])),
        "guidance_frames": draw(st.sampled_from([None, (1, 3)])),
        "two_step": draw(st.booleans()),
        "top_k": draw(st.sampled_from([0, 1, 5, 1000])),
        "top_p": draw(st.sampled_from([0.0, 0.7])),
        "temperature": draw(st.sampled_from([0.0, 0.5, 1.0])),
    }
    return model, options, draw(st.integers(0, num_frames - 1)), draw(st.integers(0, 1000))


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(calls())
def test_an_item_of_any_batch_is_the_item_alone(call):
    model, options, prompt_frames, seed = call
    torch.manual_seed(seed)
    lm = TokenLM(**model).eval()
    for parameter in lm.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    mask = torch.arange(6) < torch.tensor([[6], [1], [0], [3]])
    text = lm.project_text(torch.randn(4, 6, 6), mask).detach()
    prompt = torch.randint(0, model["codebook_size"], (4, 3, prompt_frames))
    whole = generate_codes(
        lm, text, mask, prompt=prompt, generators=generators(1, 2, 3, 4), **options
    )
    for item, length in enumerate([6, 1, 1, 3]):
        rows = slice(item, item + 1)
        alone = generate_codes(
            lm,
            text[rows, :length],
            mask[rows, :length],
            prompt=prompt[rows],
            generators=generators(item + 1),
            **options,
        )
        assert torch.equal(alone[0], whole[item])
