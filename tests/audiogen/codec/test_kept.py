"""A kept weight is never older than what it was made from, whatever changes that."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils import parametrize

from audiogen.codec import kept as kept_file
from audiogen.codec.conv import ConvStyle, PaddedConv1d, PaddedConvTranspose1d
from audiogen.codec.kept import sources
from audiogen.training.callbacks import WeightAverage


@pytest.fixture(autouse=True)
def _keep_small_ones(monkeypatch):
    monkeypatch.setattr(kept_file, "SMALLEST", 0)


def convolution(kind="down", norm="weight_norm"):
    torch.manual_seed(0)
    style = ConvStyle(norm=norm)
    if kind == "down":
        return PaddedConv1d(3, 4, kernel_size=6, stride=2, style=style).eval()
    return PaddedConvTranspose1d(3, 4, stride=2, style=style).eval()


def is_fresh(conv, x=None):
    """Compare with the path that keeps nothing: the one with gradients."""
    x = torch.randn(1, 3, 20) if x is None else x
    with torch.enable_grad():
        expected = conv(x).detach()
    with torch.no_grad():
        return torch.allclose(conv(x), expected, rtol=1e-5, atol=1e-5)


def kept(conv):
    held = conv._kept._held
    return held and held[0]


@torch.no_grad()
def run(conv):
    return conv(torch.ones(1, 3, 20))


@pytest.fixture(params=["down", "up"])
def conv(request):
    made = convolution(request.param)
    run(made)
    assert kept(made) is not None
    return made


def test_is_the_same_tensor_while_nothing_changes(conv):
    first = kept(conv)
    run(conv)
    with torch.inference_mode():
        run(conv)
    assert kept(conv) is first


def step(conv, make):
    conv.train()
    optimizer = make(conv.parameters())
    conv(torch.randn(2, 3, 20)).square().sum().backward()
    optimizer.step()
    conv.eval()


def quiet_step(conv, make):
    """Take a step without telling the module that it trains."""
    optimizer = make(conv.parameters())
    with torch.enable_grad():
        conv(torch.randn(2, 3, 20)).square().sum().backward()
    optimizer.step()


ADAM = {
    "single": lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
    "foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
}


@pytest.mark.parametrize("name", ADAM)
@pytest.mark.parametrize("take", [step, quiet_step])
def test_sees_an_optimizer(conv, take, name):
    before = run(conv)
    take(conv, ADAM[name])
    assert not torch.equal(run(conv), before)
    assert is_fresh(conv)


def swap_average(conv):
    average = WeightAverage(decay=0.9)
    average.update(convolution("down" if isinstance(conv, PaddedConv1d) else "up"))
    for value in average.average.values():
        value.mul_(3)
    average.swap(conv)


def assign(conv):
    conv.conv.weight = conv.conv.weight.detach() * 3


def load(conv):
    conv.load_state_dict({k: v * 3 for k, v in conv.state_dict().items()})


def load_by_assignment(conv):
    state = {k: torch.nn.Parameter(v * 3) for k, v in conv.state_dict().items()}
    conv.load_state_dict(state, assign=True)


def write_data(conv):
    conv.conv.parametrizations.weight.original1.data.mul_(-1)


def set_data_twice(conv):
    """The second tensor may lie where the first one lay."""
    length = conv.conv.parametrizations.weight.original0
    for _ in range(2):
        length.data = length.data * 3


def in_place(conv):
    with torch.no_grad():
        conv.conv.parametrizations.weight.original0[0] += 1


CHANGES = [
    swap_average,
    assign,
    load,
    load_by_assignment,
    write_data,
    set_data_twice,
    in_place,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_sees_every_other_change(conv, change):
    before = run(conv)
    change(conv)
    assert not torch.equal(run(conv), before)
    assert is_fresh(conv)


def test_follows_dtype_and_back(conv):
    before = run(conv)
    conv.double()
    assert is_fresh(conv, torch.randn(1, 3, 20).double())
    conv.float()
    torch.testing.assert_close(run(conv), before, rtol=0, atol=0)


def test_training_frees_it_and_evaluation_makes_it_anew(conv):
    conv.train()
    assert kept(conv) is None
    run(conv)
    assert kept(conv) is None
    conv.eval()
    assert is_fresh(conv)
    assert kept(conv) is not None


def test_gradients_flow_in_eval_mode(conv):
    conv(torch.randn(1, 3, 20)).sum().backward()
    assert all(p.grad is not None for p in conv.parameters())


def test_another_thread_may_free_it_half_way(conv, monkeypatch):
    """As `codec.eval()` in one thread while another one decodes."""
    expected, shows = run(conv), kept_file._Trace.shows

    def freed_meanwhile(*args):
        conv.eval()
        return shows(*args)

    monkeypatch.setattr(kept_file._Trace, "shows", freed_meanwhile)
    assert torch.equal(run(conv), expected)


def test_copies_state_and_pickles_hold_nothing_of_it(conv):
    assert not any("kept" in name for name in conv.state_dict())
    for twin in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv.state_dict()))):
        if isinstance(twin, torch.nn.Module):
            assert kept(twin) is None
            in_place(conv)
            assert is_fresh(twin)
            assert is_fresh(conv)


def test_removing_the_norm_is_seen(conv):
    expected = run(conv)
    parametrize.remove_parametrizations(conv.conv, "weight")
    torch.testing.assert_close(run(conv), expected)
    with torch.no_grad():
        conv.conv.weight.mul_(2)
    assert is_fresh(conv)


@pytest.mark.parametrize("norm", ["none", "spectral_norm"])
@pytest.mark.parametrize("kind", ["down", "up"])
def test_other_norms(kind, norm):
    conv = convolution(kind, norm)
    run(conv)
    for source in sources(conv.conv):
        with torch.no_grad():
            source.mul_(-2)
        assert is_fresh(conv)


def test_weights_made_in_inference_mode_are_never_kept():
    with torch.inference_mode():
        conv = convolution()
        run(conv)
    assert kept(conv) is None


def test_a_small_weight_is_made_anew(monkeypatch):
    monkeypatch.setattr(kept_file, "SMALLEST", 1000)
    conv = convolution()
    run(conv)
    assert kept(conv) is None


def test_a_plain_convolution_keeps_no_second_weight():
    conv = convolution(norm="none")
    run(conv)
    assert kept(conv) is None
