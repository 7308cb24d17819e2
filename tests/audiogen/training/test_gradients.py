import math

import pytest
import torch
from torch import nn

from audiogen.training.gradients import clip_gradients, require_finite_norm


def parameters():
    """Gradients 3 and 4, whose norm is 5, and one that is not there."""
    found = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    found[0].grad, found[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
    return found


@pytest.mark.parametrize(("limit", "factor"), [(None, 1.0), (10.0, 1.0), (2.5, 0.5)])
def test_the_norm_of_all_is_returned_as_it_was_and_limited(limit, factor):
    learned = parameters()
    assert clip_gradients(learned, limit).item() == 5.0
    assert [p.grad.item() for p in learned[:2]] == pytest.approx([3 * factor, 4 * factor])
    assert learned[2].grad is None


@pytest.mark.parametrize("limit", [0, -1.0, math.nan])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="gradient_clip must be above 0, or null for no limit"):
        clip_gradients(parameters(), limit)


def test_a_norm_that_is_no_number_is_refused():
    require_finite_norm(torch.tensor(5.0), whose="the codec")
    with pytest.raises(FloatingPointError, match=r"of the codec is not finite in update 7 \(norm"):
        require_finite_norm(torch.tensor(math.inf), whose="the codec", update=7)
