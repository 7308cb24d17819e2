"""The baseline generates what we generate, or its time would say nothing."""

import pytest
import torch

from audiogen.lm.decoding import StepDecoder
from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from recipes.speed.decode_baseline import (
    PlainDecoder,
    generate_plainly,
    make_plain,
    sample_plainly,
    with_and_without,
)


@pytest.fixture
def lm():
    torch.manual_seed(0)
    lm = TokenLM(
        num_codebooks=3,
        codebook_size=16,
        text_dim=8,
        dim=24,
        num_layers=2,
        num_heads=2,
        delays=[0, 2, 1],
        embedding_std=0.5,
    )
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.randn(parameter.shape) * 2 / parameter.shape[1] ** 0.5)
    return lm.eval()


@pytest.fixture
def text(lm):
    states = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    return lm.project_text(states, torch.ones(2, 4, dtype=torch.bool)).detach()


def test_logits_are_equal_at_every_step(lm, text):
    sequence = torch.randint(0, 17, (4, 3, 9), generator=torch.Generator().manual_seed(2))
    plain = PlainDecoder(make_plain(lm), with_and_without(text))
    ours = StepDecoder(lm, text=text, text_mask=None, rows=4, max_steps=9)
    for start, end in [(0, 3), (3, 4), (4, 5), (5, 7), (7, 8), (8, 9)]:
        part = sequence[..., start:end]
        torch.testing.assert_close(plain.advance(part), ours.advance(part), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_greedy_codes_are_equal(lm, text, scale):
    expected = generate_codes(lm, text, None, num_frames=20, generators=None, guidance_scale=scale)
    told = []
    found = generate_plainly(
        make_plain(lm),
        text,
        num_frames=20,
        scale=scale,
        greedy=True,
        progress=lambda done, total: told.append((done, total)),
    )
    assert torch.equal(found, expected)
    assert told == [(n, 20) for n in range(1, 21)]


def test_bfloat16_is_near(lm, text):
    sequence = torch.randint(0, 17, (4, 3, 5), generator=torch.Generator().manual_seed(2))
    rows = with_and_without(text)
    found = PlainDecoder(make_plain(lm, dtype=torch.bfloat16), rows).advance(sequence)
    expected = PlainDecoder(make_plain(lm), rows).advance(sequence)
    assert found.dtype == torch.float32
    assert 1e-4 < (found - expected).norm() / expected.norm() < 0.05
    codes, text = sequence[:2] % 16, text.bfloat16()
    logits, valid = make_plain(lm, dtype=torch.bfloat16).predict(codes, text)
    assert logits.dtype == torch.bfloat16
    assert bool(logits[valid].isfinite().all())


def test_draws_are_of_the_most_likely():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 3.0, 2.0, -1.0]).expand(2000, 1, 4)
    drawn = sample_plainly(logits, top_k=2)
    assert drawn.shape == (2000, 1)
    share = (drawn == 1).float().mean().item()
    assert set(drawn.unique().tolist()) == {1, 2}
    assert share == pytest.approx(torch.tensor([3.0, 2.0]).softmax(0)[0].item(), abs=0.04)


def test_other_shapes_are_refused(lm):
    for change in ({"bias_ff": True}, {"norm_first": False}, {"position_scale": 0.5}):
        other = TokenLM(**{**lm.config, **change})
        with pytest.raises(ValueError, match=f"its own {next(iter(change))}: measure another"):
            make_plain(other)
