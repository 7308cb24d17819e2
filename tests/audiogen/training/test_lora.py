"""Adapters: what learns, what is merged, and what peft itself makes of the folder."""

import sys

import pytest
import torch

from audiogen.lm.model import TokenLM
from audiogen.training.lora import (
    Lora,
    adapters,
    add_adapters,
    has_adapters,
    load_adapters,
    merged,
    save_adapters,
)

ALL = ["in_proj", "out_proj", "mlp_in", "mlp_out"]


def small(**other) -> TokenLM:
    torch.manual_seed(3)
    keywords = {"num_codebooks": 2, "codebook_size": 9, "text_dim": 6, "dim": 12}
    return TokenLM(**keywords | {"num_layers": 2, "num_heads": 2, "delays": [0, 1]} | other).eval()


def with_adapters(targets=ALL, **other) -> TokenLM:
    """A model whose adapters have learned something."""
    lm = small(**other)
    add_adapters(lm, Lora(rank=3, alpha=5, targets=targets))
    with torch.no_grad():
        for _, value in adapters(lm):
            value.normal_(std=0.3)
    return lm


def logits(lm: TokenLM) -> torch.Tensor:
    """What it predicts of codes with two captions, one of them empty."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(9, (2, 2, 7), generator=generator)
    states = torch.randn(2, 4, 6, generator=generator)
    mask = torch.tensor([[True, True, True, False], [False] * 4])
    return lm.predict(codes, lm.project_text(states, mask), mask, complete=True)[0]


def test_training_begins_with_the_model_as_it_was():
    lm = small()
    before = logits(lm)
    add_adapters(lm, Lora(rank=3, alpha=5, targets=ALL))
    torch.testing.assert_close(logits(lm), before, rtol=0, atol=0)


@pytest.mark.parametrize("target", [*ALL, "cross_attention.in_proj", "self_attention.out_proj"])
def test_every_target_counts(target):
    """The keys of the text are read off a part of in_proj, which must not pass the adapter by."""
    lm = with_adapters([target])
    assert not torch.allclose(logits(lm)[0], logits(small())[0])


@pytest.mark.parametrize("other", [{}, {"bias_attn": True, "bias_ff": True, "layer_scale": 0.1}])
def test_merged_computes_the_same_without_adapters(other):
    """With biases, an item without a caption hears the bias alone, adapter or not."""
    lm = with_adapters(**other)
    plain = merged(lm)
    assert type(plain.blocks[0].mlp_in) is torch.nn.Linear
    assert not has_adapters(plain)
    assert plain.state_dict().keys() == small(**other).state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(logits(plain), logits(lm), rtol=1e-5, atol=1e-5)


def test_merged_is_w_plus_scaled_b_a():
    lm = with_adapters(["mlp_in"])
    layer = lm.blocks[1].mlp_in
    product = layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()
    expected = layer.base_layer.weight.double() + 5 / 3 * product
    found = merged(lm).blocks[1].mlp_in.weight
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


def test_merged_is_a_copy():
    lm = with_adapters()
    before = logits(lm)
    with torch.no_grad():
        for parameter in merged(lm).parameters():
            parameter.zero_()
    torch.testing.assert_close(logits(lm), before, rtol=0, atol=0)
    plain = small()
    assert merged(plain) is plain


def test_only_adapters_learn():
    lm = with_adapters(["out_proj"])
    learning = {name for name, p in lm.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in adapters(lm)}
    # Two blocks, two attentions, 12 x 12 each: A is 3 x 12 and B 12 x 3.
    assert sum(p.numel() for _, p in adapters(lm)) == 2 * 2 * (3 * 12 + 12 * 3)


def test_saved_adapters_load_again(tmp_path):
    lm = with_adapters()
    save_adapters(lm, tmp_path / "a")
    again = small()
    load_adapters(again, tmp_path / "a")
    torch.testing.assert_close(logits(again.eval()), logits(lm), rtol=0, atol=0)


def test_peft_itself_loads_them(tmp_path):
    from peft import PeftModel

    lm = with_adapters()
    save_adapters(lm, tmp_path)
    theirs = PeftModel.from_pretrained(small(), tmp_path)
    torch.testing.assert_close(logits(theirs.base_model.model.eval()), logits(lm), rtol=0, atol=0)
    unloaded = theirs.merge_and_unload()
    torch.testing.assert_close(logits(unloaded), logits(merged(lm)), rtol=1e-5, atol=1e-5)


def test_adapters_of_another_model_are_refused(tmp_path):
    save_adapters(with_adapters(), tmp_path)
    with pytest.raises(ValueError, match="of another model"):
        load_adapters(small(dim=16), tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no adapters"):
        load_adapters(small(), tmp_path / "other")
    with pytest.raises(ValueError, match="has no adapters"):
        save_adapters(small(), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 0}, "rank must be a whole number from 1, got 0"),
        ({"rank": 2.5}, "rank must be a whole number"),
        ({"rank": True}, "rank must be a whole number"),
        ({"alpha": 0}, "alpha must be above 0"),
        ({"alpha": float("nan")}, "alpha must be above 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"targets": []}, "targets must be a list"),
        ({"targets": "in_proj"}, "targets must be a list"),
    ],
)
def test_numbers_that_make_no_adapter(wrong, message):
    with pytest.raises(ValueError, match=message):
        Lora(**{"rank": 4, "alpha": 8, "targets": ALL} | wrong)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("q_proj", "'q_proj' is no layer of the language model; there are in_proj, mlp_in"),
        ("proj", "is no layer"),
        ("head", "is not inside the blocks"),  # its weight is read past an adapter
        ("text_projection", "is not inside the blocks"),
    ],
)
def test_targets_that_match_nothing(target, message):
    lm = small()
    with pytest.raises(ValueError, match=message):
        add_adapters(lm, Lora(rank=2, alpha=2, targets=["in_proj", target]))
    assert not has_adapters(lm)


def test_without_peft_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"need peft.*audiogen\[train\].*module.lora=null"):
        add_adapters(small(), Lora(rank=2, alpha=2, targets=ALL))
