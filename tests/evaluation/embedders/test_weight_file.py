import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evaluation.embedders.weight_file import (
    WeightsError,
    check_tensors,
    empty_network,
    load_strict,
    read_torch_file,
    weights_sha256,
)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("new_format", [True, False])  # the published files are of before 2020
def test_both_formats_of_torch_with_what_training_leaves_in_them(path, new_format):
    content = {
        "model": OrderedDict(weight=torch.arange(6.0).view(2, 3)),
        "iteration": np.int64(600000),
        "statistics": np.arange(3.0),
        "best": np.float64(0.43),
    }
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    read = read_torch_file(path)
    assert read["model"]["weight"].equal(content["model"]["weight"])
    assert read["iteration"] == 600000
    assert read["statistics"].tolist() == [0, 1, 2]


def test_numpy_before_2_named_its_parts_otherwise(path):
    """Array files of 2019 say numpy.core where today's say numpy._core."""
    torch.save({"x": np.float32(2.5)}, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != path.read_bytes()
    path.write_bytes(old)
    assert read_torch_file(path)["x"] == 2.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n <!DOCTYPE html><html>Not found</html>", "a web page was saved"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page was saved"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "pointer of Git LFS"),
        (b"RIFF0000WAVE", "not a file of torch.save"),
        (b"\x80\x02nonsense", "cut short, damaged or unsafe"),
        (b"PK\x03\x04nonsense", "cut short or damaged"),
    ],
)
def test_what_is_no_file_of_weights_is_said(path, content, reason):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason) as error:
        read_torch_file(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_a_value_error(path):
    with pytest.raises(ValueError, match=r"no such file. Fetch it again"):
        read_torch_file(path)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, new_format, share):
    torch.save({"x": torch.rand(4000)}, path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=r"cut short|damaged"):
        read_torch_file(path)


def test_a_flipped_bit_is_refused(path):
    torch.save({"x": torch.ones(4000)}, path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match="damaged, its record"):
        read_torch_file(path)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_file_is_not_run(path, tmp_path, monkeypatch, new_format):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Harmful()}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"unsafe: it wants \S+ to be called"):
        read_torch_file(path)
    assert not Path("harmed").exists()


def test_a_plain_pickle_is_refused(path):
    path.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(WeightsError):
        read_torch_file(path)


def test_every_difference_of_a_state_is_listed():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = network.state_dict()
    state["other.weight"] = state.pop("0.bias")
    state["1.weight"] = torch.zeros(1, 4)
    state["1.bias"] = torch.tensor([float("nan")])
    with pytest.raises(WeightsError) as error:
        load_strict(network, state, Path("a.pth"))
    for text in (
        "a.pth: not the weights of this network",
        "1 missing (0.bias)",
        "1 unexpected (other.weight)",
        "1.weight [1, 4] instead of [1, 3]",
        "1 not finite (1.bias)",
    ):
        assert text in str(error.value)


@pytest.mark.parametrize("state", [None, {}, [torch.zeros(1)], {"x": 3}, "text"])
def test_a_state_is_tensors_by_name(state):
    with pytest.raises(WeightsError, match=r"expected (a state dict|tensors only)"):
        check_tensors(state, Path("a.pth"))


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (lambda: torch.zeros(2, 2).to_sparse(), r"x is sparse \(torch\.sparse_coo\)"),
        (lambda: torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8), "x is quantized"),
        (lambda: torch.zeros(2, device="meta"), "x is on the device meta"),
        (lambda: torch.zeros(2, dtype=torch.complex64), "x is of torch.complex64"),
        (lambda: torch.zeros(2).to(torch.float8_e4m3fn), "x is of torch.float8_e4m3fn"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # torch warns of quantized tensors
def test_tensors_that_no_network_takes_are_named(tensor, kind):
    with pytest.raises(WeightsError, match=rf"a\.pth: expected dense tensors .*{kind}"):
        check_tensors({"x": tensor(), "y": torch.zeros(1)}, Path("a.pth"))


def test_keys_that_are_no_names_are_shown():
    with pytest.raises(WeightsError, match="expected tensors by name, got the keys 0, 1"):
        check_tensors({0: torch.zeros(1), 1: torch.zeros(1)}, Path("a.pth"))


def test_whole_numbers_in_the_place_of_floats_are_refused():
    network = nn.Linear(2, 1)
    state = network.state_dict() | {"bias": torch.zeros(1, dtype=torch.int64)}
    with pytest.raises(WeightsError, match=r"bias torch\.int64 instead of torch\.float32"):
        load_strict(network, state, Path("a.pth"))


def test_a_folder_in_the_place_of_a_file_is_called_one(tmp_path):
    with pytest.raises(WeightsError, match="a folder, not a file"):
        read_torch_file(tmp_path)


def test_an_empty_network_draws_no_random_numbers():
    before = torch.random.get_rng_state()
    network = empty_network(lambda: nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5)))
    assert torch.random.get_rng_state().equal(before)
    assert not network.training
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}


def test_a_file_is_the_one_that_was_fetched(path):
    path.write_bytes(b"weights")
    digest = weights_sha256(path)
    path.with_name("weights.pth.sha256").write_text(f"{digest}  weights.pth\n")
    assert weights_sha256(path) == digest
    path.write_bytes(b"Weights")
    with pytest.raises(WeightsError, match=rf"and was {digest} when .*weights\.pth\.sha256"):
        weights_sha256(path)
