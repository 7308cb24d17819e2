import json
import math

import pytest
import torch

from audiogen.lm.loss import codebook_cross_entropy
from audiogen.lm.model import TokenLM

TINY = {
    "num_codebooks": 2,
    "codebook_size": 16,
    "text_dim": 6,
    "dim": 64,
    "num_layers": 3,
    "num_heads": 4,
    "delays": [0, 1],
}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def test_training_steps_match_golden(golden, golden_lm):
    """Four steps of the reference's trainer: losses, gradient norms and weights."""
    mask = golden["cond_mask"][:3].bool()
    optimizer = torch.optim.AdamW(
        golden_lm.train().parameters(), lr=5e-4, betas=(0.9, 0.95), weight_decay=0.1
    )
    for step, codes in enumerate(golden["steps::tokens"]):
        optimizer.param_groups[0]["lr"] = golden["steps::metric_lr"][step].item()
        text = golden_lm.project_text(golden["t5_hidden"][:3], mask)
        logits, valid = golden_lm.predict(codes, text)
        losses = codebook_cross_entropy(logits, codes, valid)
        losses.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(golden_lm.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        measured = torch.stack([losses.mean(), losses[0], losses[3], norm]).double()
        names = ("metric_ce", "metric_ce_q1", "metric_ce_q4", "metric_grad_norm")
        expected = torch.stack([golden[f"steps::{name}"][step] for name in names])
        torch.testing.assert_close(measured, expected, rtol=1e-3, atol=1e-4)
    trained = {
        "emb.0.weight": golden_lm.embedding.weight[:33],
        "linears.1.weight": golden_lm.head.weight[32:64],
        "condition_provider.conditioners.description.output_proj.bias": (
            golden_lm.text_projection.bias
        ),
        "transformer.layers.0.norm_cross.weight": golden_lm.blocks[0].norm_cross.weight,
    }
    for name, weight in trained.items():
        torch.testing.assert_close(weight, golden[f"steps::after::{name}"], rtol=1e-3, atol=1e-4)


def test_no_code_is_predicted_from_itself_or_its_future(tiny_lm, captions):
    """Changing frame 4 of codebook 1 may change only what is decoded behind it."""
    codes = torch.randint(0, 16, (3, 3, 9), generator=torch.Generator().manual_seed(0))
    changed = codes.clone()
    changed[:, 1, 4] = (changed[:, 1, 4] + 1) % 16
    with torch.no_grad():
        before, _ = tiny_lm.predict(codes, *captions, complete=True)
        after, _ = tiny_lm.predict(changed, *captions, complete=True)
    step = torch.arange(9) + torch.tensor(tiny_lm.delays)[:, None]  # [K, T]
    may_change = step > 4 + tiny_lm.delays[1]
    differs = (before != after).any(-1)
    assert not differs[:, ~may_change].any()
    assert differs[:, may_change].all()


def test_padding_of_a_caption_changes_nothing_when_masked(tiny_lm, captions):
    text, mask = captions
    codes = torch.randint(0, 16, (1, 3, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone, _ = tiny_lm.predict(codes, text[1:2, :2], mask[1:2, :2], complete=True)
        padded, _ = tiny_lm.predict(codes, text[1:2], mask[1:2], complete=True)
        attended, _ = tiny_lm.predict(codes, text[1:2], None, complete=True)
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-5)
    assert (attended - padded).abs().max() > 0.01  # the reference's way is another function


def test_no_caption_is_the_same_at_any_length_and_differs_from_a_caption(tiny_lm, captions):
    text, mask = captions
    codes = torch.randint(0, 16, (1, 3, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        masked, _ = tiny_lm.predict(codes, text[:1], mask[2:], complete=True)
        zeros, _ = tiny_lm.predict(codes, torch.zeros(1, 1, 24), None, complete=True)
        captioned, _ = tiny_lm.predict(codes, text[:1], mask[:1], complete=True)
    torch.testing.assert_close(masked, zeros, rtol=0, atol=0)
    assert (captioned - masked).abs().max() > 0.01


def test_a_segment_shorter_than_the_delays(tiny_lm, captions):
    codes = torch.zeros(3, 3, 1, dtype=torch.long)
    _, valid = tiny_lm.predict(codes, *captions)
    assert valid[0].tolist() == [[True], [False], [False]]
    logits, valid = tiny_lm.predict(codes, *captions, complete=True)
    assert valid.all()
    assert logits.isfinite().all()


def test_gradients_are_finite_with_dropped_captions(captions):
    lm = TokenLM(**TINY | {"dim": 24, "num_heads": 2})
    codes = torch.randint(0, 16, (3, 2, 5))
    states = torch.randn(3, 5, 6)
    mask = captions[1]
    logits, valid = lm.predict(codes, lm.project_text(states, mask), mask)
    codebook_cross_entropy(logits, codes, valid).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in lm.parameters())


@pytest.mark.parametrize(
    ("size", "count"),
    [((1536, 48, 24), 1_839_131_136), ((1024, 24, 16), 419_584_000 + 1025 * 1024)],
    ids=["medium", "small"],
)
def test_published_sizes(size, count):
    """Counted on the reference's classes, for small without the text projection."""
    dim, num_layers, num_heads = size
    with torch.device("meta"):
        lm = TokenLM(
            num_codebooks=4,
            codebook_size=2048,
            text_dim=1024,
            dim=dim,
            num_layers=num_layers,
            num_heads=num_heads,
            delays=[0, 1, 2, 3],
        )
    assert sum(p.numel() for p in lm.parameters()) == count


def test_config_rebuilds_the_model():
    lm = TokenLM(**TINY, dropout=0.1, embedding_std=0.2, position_scale=0.5, hidden_scale=2)
    again = TokenLM(**json.loads(json.dumps(lm.config)))
    again.load_state_dict(lm.state_dict(), strict=True)
    assert again.config == lm.config
    sequence, text = torch.randint(0, 17, (1, 2, 4)), torch.randn(1, 3, 64)
    assert torch.equal(lm.eval()(sequence, text), again.eval()(sequence, text))


def test_initial_widths_follow_fan_in_and_depth():
    torch.manual_seed(0)
    lm = TokenLM(**TINY | {"dim": 256, "codebook_size": 64})
    expected = {"embedding": 1 / 16, "head": 1 / 16}
    for depth in range(3):
        for name in ("self_attention", "cross_attention"):
            for part in ("in_proj", "out_proj"):
                expected[f"blocks.{depth}.{name}.{part}"] = 1 / 16 / math.sqrt(2 * (depth + 1))
        expected[f"blocks.{depth}.mlp_in"] = 1 / 16 / math.sqrt(2 * (depth + 1))
        expected[f"blocks.{depth}.mlp_out"] = 1 / 32 / math.sqrt(2 * (depth + 1))
    cut = 0.98658  # standard deviation of a unit normal cut at three
    for name, std in expected.items():
        weight = lm.get_parameter(f"{name}.weight")
        assert weight.abs().max() <= 3 * std * 1.0001, name
        assert weight.std().item() == pytest.approx(cut * std, rel=0.03), name
    matrices = {name for name, p in lm.named_parameters() if p.ndim == 2}
    assert matrices == {f"{name}.weight" for name in expected} | {"text_projection.weight"}


def test_reference_init_leaves_attention_inputs_uniform():
    lm = TokenLM(**TINY | {"dim": 256, "init": "reference"})
    for block in lm.layers:
        for attention in (block.self_attention, block.cross_attention):
            weight = attention.in_proj.weight
            assert weight.abs().max() <= 1 / 16
            assert weight.std().item() == pytest.approx(1 / 16 / math.sqrt(3), rel=0.03)


def test_init_draws_from_a_given_generator():
    lm = TokenLM(**TINY)
    drawn = []
    for _ in range(2):
        lm.reset_parameters(generator=torch.Generator().manual_seed(3))
        drawn.append([p.clone() for p in lm.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_embedding_std_and_position_scale():
    lm = TokenLM(**TINY, embedding_std=0.1, position_scale=0.0)
    assert lm.embedding.weight.std().item() == pytest.approx(0.0987, rel=0.05)
    x = lm.embed(torch.zeros(1, 2, 3, dtype=torch.long))
    assert torch.equal(x[:, 0], x[:, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delays": [0]}, "one delay per codebook: 2 codebooks, delays has 1"),
        ({"dim": 66}, "multiple of num_heads, got dim=66 and num_heads=4"),
        ({"dim": 2, "num_heads": 1}, "at least 4"),
        ({"codebook_size": 1}, "codebook_size of at least 2"),
        ({"num_layers": 0}, "num_layers of at least 1"),
        ({"init": "zeros"}, "init must be one of"),
    ],
)
def test_refuses_shapes_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        TokenLM(**TINY | change)


def test_refuses_a_sequence_of_other_codebooks():
    with pytest.raises(ValueError, match=r"\[B, 2, S\] of codes, got shape \[1, 3, 4\]"):
        TokenLM(**TINY).embed(torch.zeros(1, 3, 4, dtype=torch.long))
