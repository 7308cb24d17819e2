import math

import pytest
import torch

from audiogen.lm.transformer import (
    Block,
    CrossAttention,
    KeyValueCache,
    SelfAttention,
    TextMask,
    sinusoid,
)


def attend(queries, keys, values, mask):
    """One head, written out: softmax(q k / sqrt(d)) v over the positions that mask allows."""
    scores = queries @ keys.T / math.sqrt(queries.shape[-1])
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1) @ values


def test_sinusoid_of_position_one():
    """Numbers of the reference for dim 8: cosines first, the slowest frequency is 1 / 10000."""
    expected = [0.5403, 0.99892, 0.999998, 1.0, 0.84147, 0.046399, 0.0021544, 0.0001]
    actual = sinusoid(torch.tensor([1]), 8)[0]
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_self_attention_against_the_formula():
    torch.manual_seed(0)
    attention = SelfAttention(dim=8, num_heads=2)
    x = torch.randn(1, 5, 8)
    queries, keys, values = (x[0] @ attention.in_proj.weight.T).split(8, dim=-1)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    heads = [slice(0, 4), slice(4, 8)]
    merged = torch.cat([attend(queries[:, h], keys[:, h], values[:, h], causal) for h in heads], -1)
    expected = merged @ attention.out_proj.weight.T
    torch.testing.assert_close(attention(x)[0], expected, rtol=1e-5, atol=1e-6)


def test_cross_attention_against_the_formula():
    torch.manual_seed(0)
    attention = CrossAttention(dim=8, num_heads=2)
    x, text = torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    mask = torch.tensor([True, False, True, True, False])
    weight = attention.in_proj.weight
    queries, keys, values = x[0] @ weight[:8].T, text[0] @ weight[8:16].T, text[0] @ weight[16:].T
    heads = [slice(0, 4), slice(4, 8)]
    merged = torch.cat([attend(queries[:, h], keys[:, h], values[:, h], mask) for h in heads], -1)
    expected = merged @ attention.out_proj.weight.T
    actual = attention(x, attention.memory(text), TextMask.of(mask[None]))
    torch.testing.assert_close(actual[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunks", [[1] * 7, [3, 1, 1, 1, 1], [2, 3, 2], [7]])
def test_cache_changes_nothing(chunks):
    torch.manual_seed(0)
    block = Block(dim=8, num_heads=2, hidden_scale=4, dropout=0.0).eval()
    x, text = torch.randn(2, 7, 8), torch.randn(2, 3, 8)
    memory = block.cross_attention.memory(text)
    cache = KeyValueCache(torch.empty(2, 2, 7, 4))
    with torch.no_grad():
        pieces = [block(piece, memory, None, cache) for piece in x.split(chunks, dim=1)]
        whole = block(x, memory, None)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-5, atol=1e-6)


def test_cache_refuses_more_than_it_holds():
    cache = KeyValueCache(torch.empty(1, 1, 2, 4))
    with pytest.raises(ValueError, match="holds 2 steps, got a sequence of 3"):
        cache.append(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4))


def test_rows_without_caption_equal_masked_rows():
    torch.manual_seed(0)
    block = Block(dim=8, num_heads=2, hidden_scale=4, dropout=0.0).eval()
    x, text = torch.randn(4, 3, 8), torch.randn(4, 5, 8)
    mask = torch.tensor([[True] * 5] * 2 + [[False] * 5] * 2)
    masked = block(x, block.cross_attention.memory(text), TextMask.of(mask))
    short = block(x, block.cross_attention.memory(text[:2]), TextMask.of(mask[:2]))
    torch.testing.assert_close(short, masked, rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    block = Block(dim=8, num_heads=2, hidden_scale=4, dropout=0.5)
    x = torch.randn(1, 3, 8)
    memory = block.cross_attention.memory(torch.randn(1, 2, 8))
    assert not torch.equal(block(x, memory, None), block(x, memory, None))
    block.eval()
    assert torch.equal(block(x, memory, None), block(x, memory, None))
