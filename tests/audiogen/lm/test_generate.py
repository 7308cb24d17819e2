import pytest
import torch

from audiogen.lm.decoding import StepDecoder
from audiogen.lm.generate import generate_codes, generate_frames
from audiogen.lm.guidance import guide
from audiogen.lm.sampling import sample_codes


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def generate_without_cache(lm, text, mask, *, num_frames, draw, scale, prompt=None):
    """Read the whole sequence anew for every step, masking instead of skipping: slow and plain."""
    batch, codebooks, given = len(text), lm.num_codebooks, 0 if prompt is None else prompt.shape[-1]
    codes = torch.full((batch, codebooks, num_frames), lm.special_token)
    if prompt is not None:
        codes[:, :, :given] = prompt
    nobody = torch.zeros_like(mask)
    for step in range(given, num_frames + max(lm.delays)):
        sequence = torch.full((batch, codebooks, step + 1), lm.special_token)
        for k, delay in enumerate(lm.delays):
            known = codes[:, k, : max(0, step - delay)]
            sequence[:, k, 1 + delay : 1 + delay + known.shape[-1]] = known
        conditional = lm(sequence, text, mask)[:, :, -1]
        unconditional = lm(sequence, text, nobody)[:, :, -1]
        drawn = draw(guide(conditional, unconditional, scale=scale))
        for k, delay in enumerate(lm.delays):
            if given <= step - delay < num_frames:
                codes[:, k, step - delay] = drawn[:, k]
    return codes


@pytest.mark.parametrize(
    ("num_frames", "prompt_frames"), [(1, 0), (2, 0), (2, 1), (9, 0), (9, 1), (9, 4), (9, 8)]
)
def test_the_cache_changes_nothing(tiny_lm, captions, num_frames, prompt_frames):
    torch.manual_seed(0)
    prompt = torch.randint(0, 16, (3, 3, prompt_frames))
    ours = generate_codes(
        tiny_lm,
        *captions,
        num_frames=num_frames,
        generators=generators(1, 2, 3),
        top_k=8,
        prompt=prompt,
    )
    rng = generators(1, 2, 3)
    with torch.no_grad():
        expected = generate_without_cache(
            tiny_lm,
            *captions,
            num_frames=num_frames,
            draw=lambda logits: sample_codes(logits, generators=rng, top_k=8),
            scale=3.0,
            prompt=prompt,
        )
    assert torch.equal(ours, expected)
    assert torch.equal(ours[:, :, :prompt_frames], prompt)
    assert ours.min() >= 0
    assert ours.max() < 16


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_an_item_is_the_same_alone_and_in_a_batch(tiny_lm, captions, scale):
    text, mask = captions
    settings = {"num_frames": 12, "guidance_scale": scale, "top_k": 0}
    batch = generate_codes(tiny_lm, text, mask, generators=generators(1, 2, 3), **settings)
    for item, length in enumerate([5, 2, 1]):
        alone = generate_codes(
            tiny_lm,
            text[item : item + 1, :length],
            mask[item : item + 1, :length],
            generators=generators(item + 1),
            **settings,
        )
        assert torch.equal(alone[0], batch[item])
    assert not torch.equal(batch[0], batch[1])


def test_items_of_one_batch_with_one_seed_and_caption_are_equal(tiny_lm, captions):
    text, mask = captions[0][:1].expand(2, -1, -1), captions[1][:1].expand(2, -1)
    codes = generate_codes(tiny_lm, text, mask, num_frames=6, generators=generators(4, 4))
    assert torch.equal(codes[0], codes[1])


def test_guidance_reaches_the_codes(tiny_lm, captions):
    """Scale 0 ignores the caption; a row without one ignores the scale."""
    text, mask = captions

    def codes(scale):
        return generate_codes(
            tiny_lm, text, mask, num_frames=12, generators=generators(1, 1, 1), guidance_scale=scale
        )

    none, plain, strong = codes(0.0), codes(1.0), codes(4.0)
    assert torch.equal(none[0], none[2])
    assert torch.equal(none[1], none[2])
    assert not torch.equal(plain[0], none[0])
    assert not torch.equal(strong[0], plain[0])
    assert torch.equal(plain[2], none[2])
    assert torch.equal(strong[2], none[2])


def test_no_guidance_computes_no_second_half(tiny_lm, captions, monkeypatch):
    rows = []
    advance = StepDecoder.advance

    def spy(self, sequence):
        rows.append(tuple(sequence.shape))
        return advance(self, sequence)

    monkeypatch.setattr(StepDecoder, "advance", spy)
    generate_codes(tiny_lm, *captions, num_frames=4, generators=None, guidance_scale=1.0)
    assert rows == [(3, 3, 1)] * 6  # 4 frames and a longest delay of 2, every step read once
    rows.clear()
    prompt = torch.zeros(3, 3, 2, dtype=torch.long)
    generate_codes(tiny_lm, *captions, num_frames=4, generators=None, prompt=prompt)
    assert rows == [(6, 3, 3), (6, 3, 1), (6, 3, 1), (6, 3, 1)]


def test_frames_arrive_as_they_are_completed(tiny_lm, captions):
    settings = {"num_frames": 7, "prompt": torch.ones(3, 3, 2, dtype=torch.long)}
    seen = []
    codes = generate_codes(
        tiny_lm,
        *captions,
        generators=generators(1, 2, 3),
        progress=lambda done, total: seen.append((done, total)),
        **settings,
    )
    frames = list(generate_frames(tiny_lm, *captions, generators=generators(1, 2, 3), **settings))
    assert torch.equal(torch.stack(frames, dim=-1), codes[:, :, 2:])
    assert seen == [(done, 5) for done in range(1, 6)]


def test_bfloat16_on_a_cpu_keeps_a_float32_cache(tiny_lm, captions):
    text, mask = captions
    lm = tiny_lm.bfloat16()
    decoder = StepDecoder(lm, text=text.bfloat16(), text_mask=mask, rows=3, max_steps=4)
    assert decoder.caches[0].keys.dtype == torch.float32
    logits = decoder.advance(torch.zeros(3, 3, 2, dtype=torch.long))
    assert logits.dtype == torch.float32
    whole = lm(torch.zeros(3, 3, 2, dtype=torch.long), text.bfloat16(), mask)[:, :, -1]
    torch.testing.assert_close(logits, whole.float(), rtol=0.1, atol=0.2)


def test_delays_without_a_zero_start_late(captions):
    from audiogen.lm.model import TokenLM

    torch.manual_seed(0)
    lm = TokenLM(
        num_codebooks=2,
        codebook_size=8,
        text_dim=6,
        dim=24,
        num_layers=1,
        num_heads=2,
        delays=[2, 1],
    ).eval()
    codes = generate_codes(lm, *captions, num_frames=3, generators=generators(0, 1, 2))
    assert codes.shape == (3, 2, 3)
    assert codes.max() < 8


def test_refuses_calls_that_do_not_fit(tiny_lm, captions):
    text, mask = captions
    good = {"num_frames": 4, "generators": None}

    def refused(message, *, text=text, **change):
        with pytest.raises(ValueError, match=message):
            generate_codes(tiny_lm, text, mask, **good | change)

    refused("3 captions, got 1 generators", generators=generators(0))
    refused("num_frames of at least 1, got 0", num_frames=0)
    refused(r"projected text \[B, L, 24\].*lm.project_text", text=torch.zeros(3, 5, 6))
    zeros = torch.zeros(3, 3, 4, dtype=torch.long)
    refused("has 4 frames and must be shorter than the 4", prompt=zeros)
    refused(r"expected prompt codes \[3, 3, P\]", prompt=zeros[:1, :, :2])
    refused(r"in \[0, 16\), got 16 to 16: were they made by another", prompt=zeros[:, :, :1] + 16)
    refused("temperature", temperature=-1.0)
    tiny_lm.train()
    refused("call lm.eval")


def test_refuses_to_make_codes_of_nan(tiny_lm, captions):
    torch.nn.init.constant_(tiny_lm.head.weight, torch.nan)
    with pytest.raises(ValueError, match="not finite: check its weights"):
        generate_codes(tiny_lm, *captions, num_frames=2, generators=generators(0, 1, 2))


def test_refuses_fewer_rows_than_captions(tiny_lm, captions):
    with pytest.raises(ValueError, match="at least the 3 captions, got 2"):
        StepDecoder(tiny_lm, text=captions[0], text_mask=None, rows=2, max_steps=4)


@pytest.mark.gpu
def test_cuda_and_cpu_draw_the_same_codes(tiny_lm, captions):
    settings = {"num_frames": 20, "top_k": 8}
    here = generate_codes(tiny_lm, *captions, generators=generators(1, 2, 3), **settings)
    text, mask = (part.cuda() for part in captions)
    there = generate_codes(tiny_lm.cuda(), text, mask, generators=generators(1, 2, 3), **settings)
    assert torch.equal(here, there.cpu())
