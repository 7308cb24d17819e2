"""With `codec.paper_exact`, training does what the reference does, its mistakes included."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from audiogen.codec.balancer import Balancer
from audiogen.training import codec_module, ranks

from .test_codec_module import WEIGHTS, fit, make_codec, make_data, make_module


@pytest.fixture
def two_processes(monkeypatch):
    """Let this process believe that another one holds the same tensors, plus one."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda flat: flat.mul_(2).add_(1))


def test_all_floating_point_buffers_are_averaged_over_processes(two_processes):
    module = nn.Module()
    module.register_buffer("a", torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    module.register_buffer("b", torch.tensor(5.0))
    module.register_buffer("count", torch.tensor(7))
    ranks.average_buffers(module)
    assert module.a.tolist() == [[1.5, 2.5], [3.5, 4.5]]  # the mean of x and x + 1
    assert module.b == 5.5
    assert module.count == 7


@pytest.mark.parametrize(("exact", "expected"), [(True, 1), (False, 0)])
def test_buffers_are_averaged_after_every_backward_pass(tmp_path, monkeypatch, exact, expected):
    averaged = []
    monkeypatch.setattr(codec_module, "average_buffers", averaged.append)
    module = make_module(codec=make_codec(paper_exact=exact))
    fit(module, tmp_path, steps=3)
    assert averaged == [module.codec] * 3 * expected


def test_processes_average_what_their_balancers_gave(two_processes):
    """Otherwise they add up, as one process with all items does."""
    scales = {
        (exact, items): make_module(
            codec=make_codec(paper_exact=exact), balanced_items=items
        )._balanced_scale(4)
        for exact in (True, False)
        for items in (None, 8)
    }
    # Two processes of four items: a mean of two sums of 4, a sum over 8, and twice that of 8.
    assert scales == {(True, None): 1, (False, None): 2, (True, 8): 2, (False, 8): 2}


@pytest.mark.parametrize("exact", [True, False])
def test_the_balancer_starts_anew_at_a_resume(tmp_path, exact):
    """Seen in the first update after it: its averages are of that update alone, or go on."""
    norms = {}
    for steps in (2, 3):
        balancer = Balancer(WEIGHTS)
        module = make_module(codec=make_codec(paper_exact=exact), balancer=balancer)
        path = None if steps == 2 else tmp_path / "checkpoints" / "step-000000002.ckpt"
        fit(module, tmp_path, steps=steps, data=make_data(4), path=path)
        norms[steps] = float(balancer.get_buffer("norm_l1")[1])  # discounted count
    assert norms[2] == pytest.approx(1 + 0.999)
    assert norms[3] == pytest.approx(1.0 if exact else 1 + 0.999 + 0.999**2)


def test_batches_are_whole():
    with pytest.raises(ValueError, match="paper_exact takes batches whole"):
        make_module(codec=make_codec(paper_exact=True), accumulate=2)
