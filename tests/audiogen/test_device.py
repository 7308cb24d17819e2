"""A device that cannot be used is named before anything is loaded."""

import pytest
import torch

from audiogen.checkpoint import load_codec, load_model
from audiogen.cli import main
from audiogen.device import usable_device

NONE = ["foo", "", "cuda:99", "meta", 2.5, None]


@pytest.mark.parametrize("device", NONE)
def test_devices_that_cannot_be_used(saved, device):
    for load in (load_codec, load_model):
        with pytest.raises(ValueError, match=r"^device .*cannot be used \(.+\): try cpu"):
            load(saved, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(saved):
    with pytest.raises(ValueError, match="device cuda cannot be used"):
        load_codec(saved, device="cuda")


def test_devices_that_can_be_used():
    for device in ("cpu", torch.device("cpu")):
        assert usable_device(device) == torch.device("cpu")


@pytest.mark.parametrize("device", ["meta", "foo"])
def test_the_command_line_takes_it_for_the_callers_mistake(capsys, saved, tmp_path, device):
    out = str(tmp_path / "x.safetensors")
    argv = ["encode", str(tmp_path), "--model", str(saved), "--out", out, "--device", device]
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert f"--device {device} cannot be used" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("fast", [True, 1, 0, False, ["near"], "exact"])
def test_fast_options_that_are_none(saved, fast):
    with pytest.raises(ValueError, match="fast must be near or fast, or None; got"):
        load_codec(saved, fast=fast)
