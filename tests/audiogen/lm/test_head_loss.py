import math
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from audiogen.lm.head_loss import head_cross_entropy
from audiogen.lm.loss import IGNORED, codebook_cross_entropy
from audiogen.lm.model import TokenLM

PATTERNS = [
    {"name": "delay", "delays": [0, 2, 1]},
    {"name": "delay", "delays": [0, 1, 2], "flatten_first": 2, "empty_initial": 1},
    {"name": "parallel"},
    {"name": "unroll"},
    {"name": "coarse_first"},
    {"name": "musiclm"},
]
CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-6}, torch.float64: {"rtol": 1e-9, "atol": 1e-12}}


def make_lm(dtype=torch.float32, **changes):
    torch.manual_seed(0)
    shape = {"num_codebooks": 3, "codebook_size": 11, "text_dim": 6, "dim": 16, "num_layers": 2}
    changes = {"delays": [0, 2, 1]} | changes
    lm = TokenLM(**shape, num_heads=2, embedding_std=0.5, **changes)
    with torch.no_grad():
        lm.head.weight.mul_(3)  # wide enough that codes are unlike each other
    return lm.to(dtype)


def make_batch(dtype=torch.float32, frames=7):
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 11, (2, 3, frames), generator=generator)
    mask = torch.rand(codes.shape, generator=generator) < 0.7
    states = torch.randn(2, 4, 16, generator=generator, dtype=dtype)
    return codes, mask, states, torch.tensor([[True] * 4, [True, False, False, False]])


def plain_losses(lm, codes, states, text_mask, mask, *, complete=False):
    """The same from all logits, at the precision of the model."""
    logits, valid = lm.predict(codes, states, text_mask, complete=complete)
    if logits.dtype == torch.float32:
        return codebook_cross_entropy(logits, codes, valid & mask)
    chosen = valid & mask
    return torch.stack(
        [F.cross_entropy(logits[:, k][chosen[:, k]], codes[:, k][chosen[:, k]]) for k in range(3)]
    )


def gradients(lm, loss):
    lm.zero_grad()
    loss.backward()
    return {name: p.grad for name, p in lm.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("complete", [False, True], ids=["read", "complete"])
@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: "-".join(map(str, p)) + p["name"])
def test_losses_and_gradients_are_those_of_all_logits(pattern, dtype, complete):
    lm = make_lm(dtype, delays=None, pattern=pattern)
    codes, mask, states, text_mask = make_batch(dtype)
    expected = plain_losses(lm, codes, states, text_mask, mask, complete=complete)
    slopes = gradients(lm, expected.mean())
    loss, losses = lm.losses(codes, states, text_mask, code_mask=mask, complete=complete)
    torch.testing.assert_close(losses, expected, **CLOSE[dtype])
    torch.testing.assert_close(loss, expected.mean(), **CLOSE[dtype])
    torch.testing.assert_close(gradients(lm, loss), slopes, **CLOSE[dtype])
    assert not losses.requires_grad


def make_head(dtype=torch.float64, *, batch=2, steps=5, codebooks=3, size=4, dim=6, bias=False):
    torch.manual_seed(2)
    hidden = torch.randn(batch, steps, dim, dtype=dtype, requires_grad=True)
    weight = torch.randn(codebooks * size, dim, dtype=dtype, requires_grad=True)
    targets = torch.randint(0, size, (batch, codebooks, steps))
    targets[torch.rand(targets.shape) < 0.3] = IGNORED
    vector = torch.randn(codebooks * size, dtype=dtype, requires_grad=True) if bias else None
    return hidden, weight, targets, vector


def independent(hidden, weight, targets, bias):
    """Cross-entropies float [K], by torch's own function."""
    codebooks = targets.shape[1]
    logits = F.linear(hidden, weight, bias).unflatten(-1, (codebooks, -1))
    return torch.stack(
        [
            F.cross_entropy(logits[:, :, k].transpose(1, 2), targets[:, k], ignore_index=IGNORED)
            for k in range(codebooks)
        ]
    )


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("rows", [1, 3, 9, 10, 1000, None])
def test_any_number_of_rows_gives_the_same(rows, bias):
    hidden, weight, targets, vector = make_head(bias=bias)
    leaves = [hidden, weight, *([vector] if bias else [])]
    expected = independent(hidden, weight, targets, vector)
    loss, losses = head_cross_entropy(hidden, weight, targets, bias=vector, rows=rows)
    torch.testing.assert_close(losses, expected.detach())
    found = torch.autograd.grad(3 * loss, leaves)  # an upstream gradient that is not one
    torch.testing.assert_close(found, torch.autograd.grad(3 * expected.mean(), leaves))


def test_gradient_by_differences():
    hidden, weight, targets, vector = make_head(steps=3, size=3, dim=2, bias=True)
    torch.autograd.gradcheck(
        lambda *x: head_cross_entropy(*x[:2], targets, bias=x[2], rows=2)[0],
        (hidden, weight, vector),
    )


def test_codebooks_are_weighted():
    hidden, weight, targets, _ = make_head()
    weights = torch.tensor([0.5, 0.0, 2.0])
    expected = (weights * independent(hidden, weight, targets, None)).mean()
    loss, losses = head_cross_entropy(hidden, weight, targets, weights=weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(losses, independent(hidden, weight, targets, None).detach())
    found = torch.autograd.grad(loss, [hidden, weight])
    torch.testing.assert_close(found, torch.autograd.grad(expected, [hidden, weight]))


def test_a_codebook_without_targets_is_nan_and_spoils_no_gradient():
    hidden, weight, targets, _ = make_head()
    targets[:, 1] = IGNORED
    loss, losses = head_cross_entropy(hidden, weight, targets)
    assert losses.isnan().tolist() == [False, True, False]
    assert loss.isnan()
    found = torch.autograd.grad(loss, [hidden, weight])
    expected = independent(hidden, weight, targets, None)[[0, 2]].sum() / 3
    torch.testing.assert_close(found, torch.autograd.grad(expected, [hidden, weight]))
    weightless = head_cross_entropy(hidden, weight, targets, weights=torch.tensor([1.0, 0.0, 1.0]))[
        0
    ]
    torch.testing.assert_close(weightless, expected)


def test_no_target_at_all():
    hidden, weight, targets, _ = make_head()
    loss, losses = head_cross_entropy(hidden, weight, torch.full_like(targets, IGNORED))
    assert losses.isnan().all()
    assert all((slope == 0).all() for slope in torch.autograd.grad(loss, [hidden, weight]))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_nan_where_nothing_is_predicted_has_no_effect(compiled):
    hidden, weight, targets, _ = make_head()
    targets[:, :, 2] = IGNORED
    expected = independent(hidden, weight, targets, None)
    slopes = torch.autograd.grad(expected.mean(), [hidden, weight])
    poisoned = hidden.detach().clone()
    poisoned[:, 2] = math.nan
    poisoned.requires_grad_()
    function = head_cross_entropy
    if compiled:
        function = torch.compile(function, backend="aot_eager", fullgraph=True)
    loss, _ = function(poisoned, weight, targets)
    torch.testing.assert_close(loss, expected.mean())
    found = torch.autograd.grad(loss, [poisoned, weight])
    torch.testing.assert_close(found, slopes)


def test_knowing_nothing_costs_log_n():
    loss, losses = head_cross_entropy(
        torch.randn(2, 5, 6), torch.zeros(3 * 7, 6), torch.zeros(2, 3, 5, dtype=torch.long)
    )
    torch.testing.assert_close(losses, torch.full((3,), math.log(7)))
    torch.testing.assert_close(loss, torch.tensor(math.log(7)))


class Largest(TorchDispatchMode):
    """Remembers the most elements that any operation returned, and counts products."""

    elements = products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        self.products += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        for value in found if isinstance(found, tuple | list) else [found]:
            if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes():
                self.elements = max(self.elements, value.numel())
        return found


@pytest.mark.parametrize("learning", [True, False])
def test_logits_are_never_held(learning):
    """K * N = 256 logits at each of 400 positions; 20 positions of one codebook are 1280."""
    hidden, weight, targets, _ = make_head(torch.float32, steps=200, codebooks=4, size=64, dim=6)
    with nullcontext() if learning else torch.no_grad(), Largest() as seen:
        loss, _ = head_cross_entropy(hidden, weight, targets, rows=20)
        if learning:
            loss.backward()
    assert max(hidden.numel(), weight.numel()) == 2400 == seen.elements
    assert loss.requires_grad == learning
    chunks = sum(-(-int((targets[:, k] != IGNORED).sum()) // 20) for k in range(4))
    assert seen.products == chunks * (3 if learning else 1)


def test_autocast_rounds_products_and_not_sums():
    """The gradient of the head keeps float32, and no part is lost by the size of an average."""
    hidden, weight, targets, _ = make_head(torch.float32, steps=300, size=16, dim=8)
    exact = independent(hidden, weight, targets, None)
    slopes = torch.autograd.grad(exact.mean(), [hidden, weight])
    for dtype, error in ((torch.bfloat16, 2e-2), (torch.float16, 3e-3)):
        with torch.autocast("cpu", dtype=dtype):
            loss, losses = head_cross_entropy(hidden, weight, targets)
        found = torch.autograd.grad(loss, [hidden, weight])
        assert losses.dtype == found[0].dtype == found[1].dtype == torch.float32
        torch.testing.assert_close(losses, exact.detach(), rtol=error, atol=0)
        for slope, expected in zip(found, slopes, strict=True):
            assert (slope - expected).norm() < error * expected.norm()


def test_a_gradient_below_float16_survives():
    """A share of 1e-6 in an average of 4000 is a slope of 2.5e-10; float16 ends at 6e-8."""
    hidden = torch.ones(4000, 1, 1, requires_grad=True)
    weight = torch.tensor([[math.log(1e6)], [0.0]], requires_grad=True)
    targets = torch.zeros(4000, 1, 1, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.float16):
        loss, _ = head_cross_entropy(hidden, weight, targets)
    (slope,) = torch.autograd.grad(loss, hidden)
    expected = -1e-6 * math.log(1e6) / 4000
    torch.testing.assert_close(slope, torch.full_like(slope, expected), rtol=0.05, atol=0)


def test_half_precision_models_are_averaged_in_float32():
    hidden, weight, targets, _ = make_head(torch.bfloat16)
    loss, losses = head_cross_entropy(hidden, weight, targets)
    assert loss.dtype == losses.dtype == torch.float32
    slopes = torch.autograd.grad(loss, [hidden, weight])
    assert [slope.dtype for slope in slopes] == [torch.bfloat16] * 2


def test_backward_twice():
    hidden, weight, targets, _ = make_head()
    loss, _ = head_cross_entropy(hidden, weight, targets)
    first = torch.autograd.grad(2 * loss, [hidden, weight], retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(2 * loss, [hidden, weight]), first)


def test_checkpointing_changes_nothing():
    lm = make_lm()
    codes, mask, states, text_mask = make_batch()
    loss, _ = lm.losses(codes, states, text_mask, code_mask=mask, complete=True)
    expected = gradients(lm, loss)
    for reentrant in (False, True):
        again = checkpoint(
            lambda x: lm.losses(codes, x, text_mask, code_mask=mask, complete=True)[0],
            states.requires_grad_(),
            use_reentrant=reentrant,
        )
        torch.testing.assert_close(gradients(lm, again), expected)


@pytest.fixture
def alone():
    """A process group of one."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_wrapped_models_call_the_head_where_its_weight_is():
    """The head is read inside the model's own call, where sharding has gathered it."""
    codes, mask, states, text_mask = make_batch()
    lm = make_lm()
    loss, _ = lm.losses(codes, states, text_mask, code_mask=mask)
    expected = gradients(lm, loss)
    synced = DistributedDataParallel(lm, find_unused_parameters=True)
    loss, _ = TokenLM.losses(_Called(synced, lm), codes, states, text_mask, code_mask=mask)
    torch.testing.assert_close(gradients(lm, loss), expected)
    sharded = make_lm()
    mesh = dist.init_device_mesh("cpu", (1,))
    for block in sharded.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    loss, _ = sharded.losses(codes, states, text_mask, code_mask=mask)
    found = {name: slope.full_tensor() for name, slope in gradients(sharded, loss).items()}
    torch.testing.assert_close(found, expected)


class _Called:
    """A `TokenLM` that is called through a wrapper."""

    def __init__(self, wrapper, lm):
        self.wrapper, self.lm = wrapper, lm

    def __call__(self, *args, **keywords):
        return self.wrapper(*args, **keywords)

    def __getattr__(self, name):
        return getattr(self.lm, name)


def test_refuses_what_does_not_belong_together():
    hidden, weight, targets, _ = make_head()
    with pytest.raises(ValueError, match=r"hidden \[2, 5, 6\] and targets \[2, 3, 4\]"):
        head_cross_entropy(hidden, weight, targets[..., 1:])
    with pytest.raises(ValueError, match=r"a head \[K \* N, D\] with K=3 and D=6, got \[11, 6\]"):
        head_cross_entropy(hidden, weight[1:], targets)
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        head_cross_entropy(hidden, weight, targets, rows=0)
    with pytest.raises(ValueError, match=r"each of the 3 codebooks, got weights \[2\]"):
        head_cross_entropy(hidden, weight, targets, weights=torch.ones(2))
    with pytest.raises(ValueError, match=r"targets must be in \[0, 4\) or -100 for none, got"):
        head_cross_entropy(hidden, weight, targets.clamp(min=0) + 4)


@pytest.mark.parametrize("code", [-1, -7, 4])
def test_refuses_a_single_target_that_is_no_code(code):
    hidden, weight, targets, _ = make_head()
    targets[0, 0, 0] = code
    with pytest.raises(ValueError, match=r"targets must be in \[0, 4\)"):
        head_cross_entropy(hidden, weight, targets)
