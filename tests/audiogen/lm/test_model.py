import json
import math

import pytest
import torch

from audiogen.lm.loss import codebook_cross_entropy
from audiogen.lm.model import TokenLM
from tests.audiogen.lm.conftest import TINY

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
    loss, losses = tiny_lm.losses(codes, *captions, complete=True)
    assert losses.isfinite().all()
    assert loss.isfinite()
    with pytest.raises(ValueError, match="1 frames are not longer than the longest delay, 2"):
        tiny_lm.losses(codes, *captions)


def test_gradients_are_finite_with_dropped_captions(captions):
    lm = TokenLM(**TINY | {"dim": 24, "num_heads": 2})
    codes = torch.randint(0, 16, (3, 2, 5))
    states = torch.randn(3, 5, 6)
    mask = captions[1]
    logits, valid = lm.predict(codes, lm.project_text(states, mask), mask)
    codebook_cross_entropy(logits, codes, valid).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in lm.parameters())


def count_values(
    *,
    num_codebooks,
    codebook_size,
    text_dim,
    dim,
    num_layers,
    hidden_scale=4,
    norm_first=True,
    bias_attn=False,
    bias_ff=False,
    bias_proj=False,
    layer_scale=None,
    **no_matter,
):
    """Parameters of a model, counted by hand."""
    hidden = int(hidden_scale * dim)
    attention = 4 * dim * dim + bias_attn * 4 * dim
    mlp = 2 * hidden * dim + bias_ff * (hidden + dim)
    scales = 0 if layer_scale is None else 3 * dim
    block = 2 * attention + mlp + 3 * 2 * dim + scales
    embedding = num_codebooks * (codebook_size + 1) * dim
    head = num_codebooks * codebook_size * (dim + bias_proj)
    text = text_dim * dim + dim
    return embedding + num_layers * block + norm_first * 2 * dim + head + text


PUBLISHED = {"num_codebooks": 4, "codebook_size": 2048, "text_dim": 1024, "delays": [0, 1, 2, 3]}
TEXT = 1025 * 1024


@pytest.mark.parametrize(
    ("dim", "num_layers", "num_heads", "count"),
    [(1536, 48, 24, 1_839_131_136), (1024, 24, 16, 419_584_000 + TEXT), (2048, 48, 32, None)],
    ids=["medium", "small", "large"],
)
def test_published_sizes(dim, num_layers, num_heads, count):
    """Medium and small counted on the reference's classes, small without the text projection."""
    sizes = PUBLISHED | {"dim": dim, "num_layers": num_layers, "num_heads": num_heads}
    with torch.device("meta"):
        lm = TokenLM(**sizes)
    values = sum(p.numel() for p in lm.parameters())
    assert values == count_values(**sizes)
    assert count is None or values == count
    assert len(lm.state_dict()) + 2 * 3 == 12 * num_layers + 12  # a table and a head per codebook
    assert num_layers != 48 or 12 * num_layers + 12 == 588


@pytest.mark.parametrize(
    "change",
    [
        {"norm_first": False},
        {"bias_attn": True},
        {"bias_ff": True, "hidden_scale": 2.6},
        {"bias_proj": True},
        {"layer_scale": 0.1},
    ],
    ids=str,
)
def test_sizes_of_variants(change):
    lm = TokenLM(**TINY | change)
    assert sum(p.numel() for p in lm.parameters()) == count_values(**TINY | change)


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.1, "embedding_std": 0.2, "position_scale": 0.5, "hidden_scale": 2},
        {"norm_first": False, "bias_ff": True, "bias_attn": True, "bias_proj": True},
        {"layer_scale": 0.1, "activation": "silu", "max_period": 500.0, "paper_exact": True},
        {"delays": None, "pattern": {"name": "unroll", "flattening": (0, 0)}},
        {"delays": None, "pattern": {"name": "stereo"}},
        {"delays": (3, 1)},
    ],
    ids=str,
)
def test_config_rebuilds_the_model(change):
    lm = TokenLM(**TINY | change)
    again = TokenLM(**json.loads(json.dumps(lm.config)))
    again.load_state_dict(lm.state_dict(), strict=True)
    assert again.config == lm.config
    assert torch.equal(again.pattern.layout(5), lm.pattern.layout(5))
    sequence, text = torch.randint(0, 17, (1, 2, 4)), torch.randn(1, 3, 64)
    assert torch.equal(lm.eval()(sequence, text), again.eval()(sequence, text))


def test_configs_of_earlier_versions_build_the_same():
    """What config.json held before patterns had names."""
    old = TINY | {"hidden_scale": 4, "dropout": 0.0, "embedding_std": None, "position_scale": 1.0}
    lm = TokenLM(**old, init="complete")
    assert lm.config.items() >= old.items()
    assert list(lm.state_dict()) == list(TokenLM(**TINY).state_dict())


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


@pytest.mark.parametrize("keywords", [{"init": "reference"}, {"paper_exact": True}], ids=str)
def test_reference_init_leaves_attention_inputs_uniform(keywords):
    lm = TokenLM(**TINY | {"dim": 256} | keywords)
    for block in lm.layers:
        for attention in (block.self_attention, block.cross_attention):
            weight = attention.in_proj.weight
            assert weight.abs().max() <= 1 / 16
            assert weight.std().item() == pytest.approx(1 / 16 / math.sqrt(3), rel=0.03)


def test_a_given_init_goes_before_paper_exact():
    lm = TokenLM(**TINY | {"dim": 256}, init="complete", paper_exact=True)
    weight = lm.layers[2].self_attention.in_proj.weight
    assert weight.std().item() == pytest.approx(0.98658 / 16 / math.sqrt(6), rel=0.03)
    assert lm.paper_exact


@pytest.mark.parametrize(("depth", "divisors"), [("global", [6, 6, 6]), (None, [1, 1, 1])])
def test_uniform_init_and_other_depths(depth, divisors):
    torch.manual_seed(0)
    lm = TokenLM(**TINY | {"dim": 256}, weight_init="uniform", depth_init=depth)
    for block, divisor in zip(lm.layers, divisors, strict=True):
        for linear in (block.mlp_in, block.self_attention.in_proj, block.cross_attention.out_proj):
            std = 1 / 16 / math.sqrt(divisor)
            assert linear.weight.abs().max().item() == pytest.approx(math.sqrt(3) * std, rel=0.01)
            assert linear.weight.std().item() == pytest.approx(std, rel=0.03)


def test_biases_start_at_zero_and_scales_where_told():
    lm = TokenLM(**TINY, bias_attn=True, bias_ff=True, bias_proj=True, layer_scale=0.25)
    names = [name for name, _ in lm.named_parameters() if "bias" in name and "norm" not in name]
    assert len(names) == 3 * 6 + 2
    for name in names:
        assert name.startswith("text_projection") or (lm.get_parameter(name) == 0).all()
    scales = [p for name, p in lm.named_parameters() if name.endswith("scale")]
    assert len(scales) == 9
    assert all((p == 0.25).all() for p in scales)


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
