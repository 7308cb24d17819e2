"""What a trained module is written as; the script is tested in test_run.py."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from audiogen.codec.model import Codec
from audiogen.released import load_released
from audiogen.training.export import export_released_module, export_run
from audiogen.training.launch import RunError


def tiny() -> Codec:
    return Codec(num_filters=2, dimension=4, ratios=[2], lstm_layers=0, codebook_size=4)


def test_the_published_file_holds_the_average(tmp_path):
    codec = tiny()
    module = SimpleNamespace(codec=codec, averaged=codec)
    export_released_module(module, tmp_path / "last.bin", average=None)
    assert load_released(tmp_path / "last.bin").fingerprint() == codec.fingerprint()

    average = SimpleNamespace(applied=halved)
    export_released_module(module, tmp_path / "half.bin", average=average)
    found = load_released(tmp_path / "half.bin").encoder.layers[0].conv.bias
    torch.testing.assert_close(found, codec.encoder.layers[0].conv.bias / 2)


@contextmanager
def halved(codec):
    """Within the block a bias is half of what it is."""
    bias = codec.encoder.layers[0].conv.bias.data
    bias.mul_(0.5)
    yield
    bias.mul_(2)


def test_what_is_neither(tmp_path):
    with pytest.raises(RunError, match="a SimpleNamespace trained neither a codec nor a language"):
        export_released_module(SimpleNamespace(lm=1), tmp_path / "x", average=None)
    with pytest.raises(RunError, match="dtype must be one of float32, float16, bfloat16, or null"):
        export_released_module(SimpleNamespace(), tmp_path / "x", average=None, dtype="int8")
    assert not list(tmp_path.iterdir())


def test_an_unknown_layout(tmp_path):
    with pytest.raises(RunError, match="format must be one of folder, released; got 'zip'"):
        export_run(tmp_path, tmp_path / "out", layout="zip")
