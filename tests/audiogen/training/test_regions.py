import pytest
import torch
from torch import nn

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
