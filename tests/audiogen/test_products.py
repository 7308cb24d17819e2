from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from audiogen import products as module
from audiogen.products import OneDNNLinear, products, step_products

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)


@pytest.fixture
def calls(monkeypatch):
    """The shapes of what oneDNN multiplied; no product is too small for it."""
    seen = []
    multiply = module._multiply

    def counting(x, weight, bias=None):
        seen.append(tuple(x.shape))
        return multiply(x, weight, bias)

    monkeypatch.setattr(module, "_multiply", counting)
    monkeypatch.setattr(module, "SMALLEST", 0)
    return seen


def make(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize(
    ("make_x", "make_weight"),
    [
        (lambda: make(7, 12), lambda: make(5, 12)),
        (lambda: make(2, 3, 12), lambda: make(5, 12)),
        (lambda: make(12, 7).t(), lambda: make(12, 5).t()),
        (lambda: make(2, 12, 3).mT, lambda: make(5, 12)),
        (lambda: make(7, 12), lambda: make(15, 12)[5:10]),
        (lambda: make(1, 12), lambda: make(1, 12)),
    ],
    ids=["2d", "3d", "transposed", "3d transposed", "rows of a weight", "vectors"],
)
def test_products_and_gradients_are_those_of_float64(make_x, make_weight, bias, calls):
    leaves = [make_x(), make_weight(), *([make(len(make_weight()), seed=1)] if bias else [])]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = F.linear(*exact)
    with products("onednn"):
        found = F.linear(*leaves)
        slope = make(*found.shape, seed=2).detach()
        slopes = torch.autograd.grad(found, leaves, slope)
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found.double(), expected, **close)
    wanted = torch.autograd.grad(expected, exact, slope.double())
    torch.testing.assert_close([s.double() for s in slopes], list(wanted), **close)
    assert len(calls) == 3


def test_an_expanded_gradient():
    """That of a sum has a stride of zero."""
    x, weight = make(6, 8), make(4, 8)
    found = torch.autograd.grad(OneDNNLinear.apply(x, weight, None).sum(), [x, weight])
    expected = torch.autograd.grad(F.linear(x, weight).sum(), [x, weight])
    torch.testing.assert_close(found, expected)


def test_only_what_is_needed_is_computed(calls):
    with products("onednn"):
        F.linear(make(6, 8).detach(), make(4, 8)).sum().backward()
        assert len(calls) == 2
        F.linear(make(6, 8), make(4, 8).detach()).sum().backward()
        assert len(calls) == 4
        with torch.no_grad():
            F.linear(make(6, 8), make(4, 8))
    assert len(calls) == 5


def test_other_types_autocast_and_everything_outside_stay_as_they_are(calls):
    x, weight = make(6, 8).detach(), make(4, 8).detach()
    with products("onednn"):
        assert F.linear(x.double(), weight.double()).dtype == torch.float64
        assert F.linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert F.linear(x, weight).dtype == torch.bfloat16
        F.linear(x[0], weight)
        F.linear(x[:, :1].expand(6, 8), weight)
        F.linear(x.to("meta"), weight.to("meta"))
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            F.linear(x, weight[:, 1:])
    F.linear(x, weight)
    with products("onednn"), products("default"):
        F.linear(x, weight)
    assert not calls


def test_small_products_stay_where_they_are(calls, monkeypatch):
    monkeypatch.setattr(module, "SMALLEST", 1 << 22)
    with products("onednn"), torch.no_grad():
        F.linear(make(64, 64), make(1023, 64))
        assert not calls
        F.linear(make(64, 64), make(1024, 64))
    assert calls == [(64, 64)]


def test_a_training_step_of_the_language_model(calls, make_lm):
    """Every linear layer, the head in its loss included; blocks computed again, too."""
    torch.manual_seed(0)
    lm = make_lm(num_codebooks=2, delays=[0, 1])
    codes = torch.randint(0, 16, (2, 2, 9))
    states, mask = torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)

    def gradients():
        lm.zero_grad()
        loss, _ = checkpoint(
            lambda x: lm.losses(codes, lm.project_text(x, mask), mask), states, use_reentrant=False
        )
        loss.backward()
        return [parameter.grad for parameter in lm.parameters()]

    expected = gradients()
    assert not calls
    with products("onednn"):
        found = gradients()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    # Text, six layers per block, three products of the head per codebook; all of it twice but for
    # the first time through the head, and twice as many backward: no text needs a gradient.
    assert len(calls) > 3 * (1 + 2 * 7)


def test_compiled_code_stays_as_it_is(calls):
    layer = torch.nn.Linear(8, 4)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = make(6, 8).detach()
    with products("onednn"):
        found = compiled(x)
    assert not calls
    torch.testing.assert_close(found, layer(x))


def test_unknown_kinds_and_builds_without_it(monkeypatch):
    with pytest.raises(ValueError, match=r"must be one of .*'onednn'.*, got 'mkl'"):
        products("mkl").__enter__()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ValueError, match="has no oneDNN: choose products=default"):
        products("onednn").__enter__()
    assert F.linear is module.TORCHS


def test_an_error_inside_leaves_nothing_behind():
    with pytest.raises(RuntimeError), products("onednn"):
        F.linear(make(2, 3), make(2, 4))
    assert F.linear is module.TORCHS


@pytest.fixture
def stepping(calls, monkeypatch):
    """A processor whose steps go to oneDNN, however small they are."""
    monkeypatch.setattr(module, "SMALLEST_STEP", 0)
    monkeypatch.setattr(module, "onednn_is_quicker", lambda: True)
    return calls


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_a_step_is_as_exact(stepping, bias):
    x, layer = make(2, 1, 12).detach(), torch.nn.Linear(12, 5, bias=bias)
    with step_products(12), torch.no_grad():
        found = layer(x)
        part = F.linear(x, layer.weight[2:4])
    assert stepping == [(2, 1, 12), (2, 1, 12)]
    torch.testing.assert_close(found.double(), layer.double()(x.double()), rtol=0, atol=1e-5)
    torch.testing.assert_close(part, F.linear(x, layer.weight[2:4].float()), rtol=0, atol=1e-5)


def test_a_step_is_of_this_thread_and_without_gradients(stepping):
    x, weight = make(2, 12).detach(), make(5, 12)
    with step_products(12):
        assert F.linear(x, weight).requires_grad
        assert F.linear is module.TORCHS
        with ThreadPoolExecutor(1) as other, torch.no_grad():
            other.submit(torch.no_grad()(lambda: F.linear(x, weight))).result()
    with torch.no_grad():
        F.linear(x, weight)
    assert not stepping


def test_steps_of_narrow_models_and_other_processors_stay_as_they_are(calls, monkeypatch):
    x, weight = make(2, 512).detach(), make(512, 512).detach()
    monkeypatch.setattr(module, "onednn_is_quicker", lambda: True)
    with step_products(511), torch.no_grad():
        F.linear(x, weight)
    with step_products(512), torch.no_grad():
        F.linear(x[:1], weight)
        assert not calls
        F.linear(x, weight)
    assert calls == [(2, 512)]
    monkeypatch.setattr(module, "onednn_is_quicker", lambda: False)
    with step_products(512), torch.no_grad():
        F.linear(x, weight)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("known", "there", "quicker"),
    [("AuthenticAMD", True, True), ("GenuineIntel", True, False), ("AuthenticAMD", False, False)],
)
def test_the_processor_decides(tmp_path, monkeypatch, known, there, quicker):
    processors = tmp_path / "cpuinfo"
    processors.write_text(f"processor : 0\nvendor_id : {known}\n")
    monkeypatch.setattr(module, "PROCESSORS", processors)
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: there)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert module.onednn_is_quicker.__wrapped__() is quicker
