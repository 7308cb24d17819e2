import copy

import pytest
import torch
from torch import nn

from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from audiogen.training.regions import compile_blocks, recompute_blocks

from .test_codec_module import fit, make_adversarial, make_codec, make_data, make_module


def make(**changes):
    torch.manual_seed(0)
    return make_module(codec=make_codec(), adversarial=make_adversarial(), **changes)


def test_compiled_regions_train_as_eager_ones(tmp_path, monkeypatch):
    """Traced and differentiated as torch.compile does; what its code generator makes of it is
    torch's, and takes a minute on a CPU."""
    asked = []
    really = nn.Module.compile

    def compile_quickly(self, **how):
        asked.append((type(self).__name__, how))
        really(self, backend="eager", **how)

    monkeypatch.setattr(nn.Module, "compile", compile_quickly)
    rows = {}
    for mode in ("none", "regions"):
        module = make(compile=mode)
        names = set(module.state_dict())
        options = {"steps": 2, "data": make_data(4), "limit_val_batches": 0}
        rows[mode] = fit(module, tmp_path / mode, **options).loggers[0]._rows
        assert set(module.state_dict()) == names
    dynamic = {"dynamic": False}
    regions = ["Encoder", "Decoder", "MultiScaleSTFTDiscriminator"]
    assert asked == [(name, dynamic) for name in regions]
    for row, compiled in zip(*rows.values(), strict=True):
        for name in row.keys() - {"speed/updates_per_second"}:
            assert float(compiled[name]) == pytest.approx(float(row[name]), rel=1e-5), name


def test_other_modes_are_refused():
    with pytest.raises(ValueError, match="compile must be 'none' or 'regions', got 'all'"):
        make(compile="all")


def make_lm(*, dim=16, dropout=0.2):
    torch.manual_seed(0)
    sizes = {"num_codebooks": 2, "codebook_size": 16, "text_dim": 8, "num_layers": 3}
    return TokenLM(**sizes, dim=dim, num_heads=2, delays=[0, 1], dropout=dropout)


def read(lm, *, length=3, frames=9):
    """Return the loss of a batch in which one item has no caption."""
    generator = torch.Generator().manual_seed(length)
    codes = torch.randint(16, (2, 2, frames), generator=generator)
    states, mask = torch.randn(2, length, 8, generator=generator), torch.ones(2, length).bool()
    mask[1] = False
    torch.manual_seed(1)  # of dropout
    return lm.losses(codes, lm.project_text(states, mask), mask, complete=True)[0]


def gradients(lm, **how):
    read(lm, **how).backward()
    found = {name: parameter.grad for name, parameter in lm.named_parameters()}
    lm.zero_grad()
    return found


def saved_bytes(lm):
    """Count what a forward pass keeps for the backward pass, weights apart."""
    kept = {}
    weights = {p.untyped_storage().data_ptr() for p in lm.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = read(lm, frames=200)
    del loss
    return sum(kept.values())


def test_blocks_computed_twice_have_the_same_gradients_in_less_memory():
    """With dropout, whose draws are repeated; to the last bit."""
    lm = make_lm(dim=64)
    expected, before = gradients(lm), saved_bytes(lm)
    names = list(lm.state_dict())
    recompute_blocks(lm)
    assert list(lm.state_dict()) == names
    for name, gradient in gradients(lm).items():
        assert torch.equal(gradient, expected[name]), name
    assert saved_bytes(lm) < before / 4
    copied = copy.deepcopy(lm)
    nn.init.zeros_(lm.blocks[0].mlp_out.weight)
    for name, gradient in gradients(copied).items():
        assert torch.equal(gradient, expected[name]), name


@pytest.mark.parametrize("twice", [False, True])
def test_compiled_blocks_train_as_eager_ones(twice, monkeypatch):
    """For texts of any length, from one translation; see the codec's test above."""
    translated = []

    def backend(graph, inputs):
        translated.append(graph)
        return graph.forward

    lm = make_lm(dropout=0.0)
    lengths = (3, 5, 7, 4)
    expected = [gradients(lm, length=length) for length in lengths]
    really = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: really(self, backend=backend))
    if twice:
        recompute_blocks(lm)
    torch.compiler.reset()
    compile_blocks(lm, mode="regions")
    for length, eager in zip(lengths, expected, strict=True):
        for name, gradient in gradients(lm, length=length).items():
            torch.testing.assert_close(gradient, eager[name], msg=name)
    assert len(translated) == 2  # of three blocks and four lengths: the first one, and any
    lm.eval()
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        text = lm.project_text(torch.randn(1, 3, 8), torch.ones(1, 3).bool())
        codes = generate_codes(lm, text, None, num_frames=4, generators=None)
    assert codes.shape == (1, 2, 4)


def test_blocks_know_two_modes():
    with pytest.raises(ValueError, match="compile must be 'none' or 'regions', got 'max'"):
        compile_blocks(make_lm(), mode="max")
