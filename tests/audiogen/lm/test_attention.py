import math

import torch

from audiogen.lm.attention import CrossAttention, SelfAttention, TextMask


def attend(queries, keys, values, mask):
    """One head, written out: softmax(q k / sqrt(d)) v over the positions that mask allows."""
    scores = queries @ keys.T / math.sqrt(queries.shape[-1])
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1) @ values


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
