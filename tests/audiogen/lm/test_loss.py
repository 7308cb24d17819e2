import math

import pytest
import torch

from audiogen.lm.loss import codebook_cross_entropy


def test_knowing_nothing_costs_log_n():
    losses = codebook_cross_entropy(torch.zeros(2, 3, 5, 7), torch.zeros(2, 3, 5, dtype=torch.long))
    torch.testing.assert_close(losses, torch.full((3,), math.log(7)))


def test_each_codebook_is_averaged_over_its_own_targets():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 0, 0, 0] = logits[0, 1, 1, 0] = math.log(3)  # code 0 with a chance of 3/4
    codes = torch.zeros(1, 2, 2, dtype=torch.long)
    mask = torch.tensor([[[True, True], [False, True]]])
    expected = torch.tensor([(math.log(4 / 3) + math.log(2)) / 2, math.log(4 / 3)])
    torch.testing.assert_close(codebook_cross_entropy(logits, codes, mask), expected)


def test_masked_positions_reach_neither_loss_nor_gradient():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 4, 5)
    codes = torch.randint(0, 5, (2, 2, 4))
    mask = torch.rand(2, 2, 4) < 0.5
    mask[:, :, 0] = True
    poisoned = logits.masked_fill(~mask[..., None], math.nan).requires_grad_()
    losses = codebook_cross_entropy(poisoned, codes.where(mask, 99), mask)
    torch.testing.assert_close(losses, codebook_cross_entropy(logits, codes, mask))
    losses.sum().backward()
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[~mask] == 0).all()


def test_a_frame_mask_holds_for_every_codebook():
    torch.manual_seed(0)
    logits, codes = torch.randn(2, 3, 4, 5), torch.randint(0, 5, (2, 3, 4))
    mask = torch.tensor([[True, True, False, False], [True, True, True, False]])
    expected = codebook_cross_entropy(logits, codes, mask[:, None].expand(2, 3, 4))
    torch.testing.assert_close(codebook_cross_entropy(logits, codes, mask), expected)


def test_a_codebook_without_targets_is_nan():
    mask = torch.ones(1, 2, 3, dtype=torch.bool)
    mask[:, 1] = False
    losses = codebook_cross_entropy(
        torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, dtype=torch.long), mask
    )
    assert losses.isnan().tolist() == [False, True]


def test_half_precision_logits_are_averaged_in_float32():
    logits = torch.zeros(1, 1, 4, 8, dtype=torch.bfloat16)
    losses = codebook_cross_entropy(logits, torch.zeros(1, 1, 4, dtype=torch.long))
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, torch.tensor([math.log(8)]))


def test_refuses_shapes_that_do_not_belong_together():
    codes = torch.zeros(1, 2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="align the logits first"):
        codebook_cross_entropy(torch.zeros(1, 2, 4, 5), codes)
    with pytest.raises(ValueError, match=r"bool mask .* got torch.float32 \[1, 2, 3\]"):
        codebook_cross_entropy(torch.zeros(1, 2, 3, 5), codes, torch.ones(1, 2, 3))
