"""What a `TokenLM` refuses, and what it makes of odd but legal input."""

import math

import pytest
import torch

from audiogen.lm.loss import codebook_cross_entropy
from audiogen.lm.model import TokenLM
from tests.audiogen.lm.conftest import TINY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delays": [0]}, "one delay per codebook: 2 codebooks, delays has 1"),
        ({"delays": None}, "either delays or a pattern, got delays=None and pattern=None"),
        ({"pattern": {"name": "parallel"}}, "either delays or a pattern"),
        ({"delays": None, "pattern": {"name": "helix"}}, "a pattern is a mapping with the name"),
        ({"dim": 66}, "multiple of num_heads, got dim=66 and num_heads=4"),
        ({"dim": 2, "num_heads": 1}, "at least 4"),
        ({"dim": 64.0}, "whole number dim of at least 4, got 64.0"),
        ({"num_heads": 0}, "whole number num_heads of at least 1, got 0"),
        ({"codebook_size": 1}, "codebook_size of at least 2"),
        ({"num_codebooks": 0, "delays": []}, "num_codebooks must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers of at least 1"),
        ({"num_layers": True}, "num_layers of at least 1"),
        ({"text_dim": 0}, "text_dim of at least 1, got 0"),
        ({"hidden_scale": 0.01}, "hidden_scale is the width of the MLP .* got 0.01"),
        ({"hidden_scale": math.nan}, "hidden_scale .* got nan"),
        ({"init": "zeros"}, "init must be one of"),
        ({"weight_init": None}, "weight_init must be one of"),
        ({"depth_init": "deep"}, "depth_init must be one of"),
        ({"activation": "swiglu"}, "activation must be one of .*gelu.* got 'swiglu'"),
        ({"activation": ["gelu"]}, "activation must be one of"),
        ({"norm_first": "false"}, "norm_first must be one of .* got 'false'"),
        ({"bias_ff": 1}, "bias_ff must be one of .* got 1"),
        ({"paper_exact": None}, "paper_exact must be one of .* got None"),
        ({"max_period": 0.0}, "max_period must be a finite number greater than 0, got 0.0"),
        ({"position_scale": math.inf}, "position_scale must be a finite number, got inf"),
        ({"embedding_std": -1.0}, "embedding_std must be a finite number greater than 0"),
        ({"layer_scale": -0.1}, "layer_scale must be a finite number of at least 0, got -0.1"),
        ({"dropout": 1.5}, "dropout"),
    ],
    ids=str,
)
def test_refuses_what_describes_no_model(change, message):
    with pytest.raises(ValueError, match=message):
        TokenLM(**TINY | change)


@pytest.mark.parametrize("call", ["predict", "losses"])
@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.full((1, 2, 3), 17), r"codes must be in \[0, 16\], where 16 stands for none"),
        (torch.full((1, 2, 3), -1), "got -1 to -1: were they made by another codec"),
        (torch.zeros(1, 2, 3), "codes must be int64, got torch.float32"),
        (torch.zeros(1, 2, 3, dtype=torch.int16), "codes must be int64, got torch.int16"),
        (torch.zeros(1, 3, 3, dtype=torch.long), r"codes \[B, 2, T\].*got shape \[1, 3, 3\]"),
        (torch.zeros(1, 1, 3, dtype=torch.long), r"codes \[B, 2, T\].*got shape \[1, 1, 3\]"),
        (torch.zeros(2, 3, dtype=torch.long), r"codes \[B, 2, T\].*got shape \[2, 3\]"),
        (torch.zeros(1, 2, 0, dtype=torch.long), "at least one frame, got num_frames=0"),
        (torch.zeros(0, 2, 3, dtype=torch.long), r"nothing to read in .* \[0, 2, 3\]"),
    ],
)
def test_refuses_codes_that_are_none(call, codes, message):
    lm = TokenLM(**TINY)
    with pytest.raises(ValueError, match=message):
        getattr(lm, call)(codes, torch.zeros(len(codes), 3, 64))


@pytest.mark.parametrize("call", ["predict", "losses"])
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("code", [-1, -7, -100, 17])
def test_refuses_codes_that_are_none_in_the_last_frame(call, complete, code):
    """They are targets only: the model never reads them."""
    lm = TokenLM(**TINY)
    codes = torch.zeros(1, 2, 4, dtype=torch.long)
    codes[..., -1] = 16  # hides a code: no target, and no mistake
    getattr(lm, call)(codes, torch.zeros(1, 3, 64), complete=complete)
    for k in range(2):
        wrong = codes.clone()
        wrong[0, k, -1] = code
        with pytest.raises(ValueError, match=r"codes must be in \[0, 16\], where 16 stands"):
            getattr(lm, call)(wrong, torch.zeros(1, 3, 64), complete=complete)


@pytest.mark.parametrize(
    ("text", "mask", "message"),
    [
        (torch.zeros(2, 3, 6), None, r"projected text \[B, L, 64\].* use lm.project_text"),
        (torch.zeros(1, 3, 64), None, "a text for each of 2 items, got 1 texts"),
        (torch.zeros(2, 0, 64), None, "an item without caption has one, masked out"),
        (torch.zeros(2, 3, 64), torch.ones(2, 3), r"bool text mask \[2, 3\], got torch.float32"),
        (torch.zeros(2, 3, 64), torch.ones(2, 4).bool(), r"got torch.bool \[2, 4\]"),
        (torch.zeros(2, 3, 64), torch.ones(3).bool(), r"got torch.bool \[3\]"),
    ],
)
def test_refuses_text_that_does_not_fit(text, mask, message):
    with pytest.raises(ValueError, match=message):
        TokenLM(**TINY).predict(torch.zeros(2, 2, 3, dtype=torch.long), text, mask)


def test_refuses_to_project_other_states():
    lm = TokenLM(**TINY)
    with pytest.raises(ValueError, match=r"text states \[B, L, 6\], got shape \[1, 3, 64\]"):
        lm.project_text(torch.zeros(1, 3, 64), torch.ones(1, 3).bool())
    with pytest.raises(ValueError, match="bool text mask"):
        lm.project_text(torch.zeros(1, 3, 6), torch.ones(1, 3))


def test_refuses_a_sequence_of_other_codebooks():
    with pytest.raises(ValueError, match=r"\[B, 2, S\] of codes, got shape \[1, 3, 4\]"):
        TokenLM(**TINY).embed(torch.zeros(1, 3, 4, dtype=torch.long))


def test_a_hidden_code_is_read_as_none_and_is_no_target():
    torch.manual_seed(0)
    lm = TokenLM(**TINY).eval()
    codes, text = torch.randint(0, 16, (2, 2, 7)), torch.randn(2, 3, 64)
    shown = torch.rand(2, 2, 7) < 0.6
    hidden = codes.where(shown, lm.special_token)
    loss, losses = lm.losses(hidden, text, complete=True)
    expected = lm.losses(hidden, text, code_mask=shown, complete=True)
    assert torch.equal(losses, expected[1])
    logits, valid = lm.predict(hidden, text, complete=True)
    torch.testing.assert_close(losses, codebook_cross_entropy(logits, codes, valid & shown))
    assert loss.isfinite()


def test_delays_are_told_where_there_is_nothing_else():
    size = TINY | {"delays": None}
    assert TokenLM(**size, pattern={"name": "parallel"}).delays == [0, 0]
    assert TokenLM(**size, pattern={"name": "delay"}).delays == [0, 1]
    for pattern in ({"name": "unroll"}, {"name": "delay", "flatten_first": 1}):
        with pytest.raises(ValueError, match="is not a matter of delays"):
            _ = TokenLM(**size, pattern=pattern).delays
