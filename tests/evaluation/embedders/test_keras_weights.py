"""Files of Keras: one that Keras 2.15 wrote, and what can be wrong with one."""

import gzip
import re
import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from evaluation.embedders.keras_weights import read_keras
from evaluation.embedders.openl3_front import PICTURES
from evaluation.embedders.openl3_network import OpenL3Network, load_openl3
from evaluation.embedders.weight_file import WeightsError

WRITTEN = Path(__file__).parents[2] / "golden" / "openl3_narrow.h5"
NARROW = partial(OpenL3Network, channels=(2, 3, 4, 5))
NAMES = [name for name, _ in read_keras(WRITTEN)]  # they count on from other models
NORM, CONV, OTHER = NAMES[0], NAMES[1], NAMES[6]
KERNEL = f"{CONV}/{CONV}/kernel:0"
load = partial(load_openl3, picture=PICTURES["mel256"], kind=NARROW)


@pytest.fixture
def path(tmp_path):
    return Path(shutil.copy(WRITTEN, tmp_path / "net.h5"))


def test_layers_are_those_of_the_file_in_its_order():
    layers = read_keras(WRITTEN)
    kinds = [sorted(arrays) for _, arrays in layers]
    assert kinds == 8 * [["beta", "gamma", "moving_mean", "moving_variance"], ["bias", "kernel"]]
    assert layers[-1][0] == "audio_embedding_layer"
    assert layers[-1][1]["kernel"].shape == (3, 3, 5, 5)
    assert layers[1][1]["kernel"].shape == (3, 3, 1, 2)
    with h5py.File(WRITTEN) as file:
        name = layers[1][0]
        np.testing.assert_array_equal(layers[1][1]["bias"], file[name][name]["bias:0"])


def same(first, second):
    state = second.state_dict()
    return all(tensor.equal(state[name]) for name, tensor in first.state_dict().items())


def test_a_file_of_a_whole_model_is_read(path, tmp_path):
    whole = tmp_path / "whole.h5"
    with h5py.File(path) as source, h5py.File(whole, "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_group("optimizer_weights")
        model = file.create_group("model_weights")
        for name in source:
            source.copy(name, model)
        for name, value in source.attrs.items():
            model.attrs[name] = value
    assert same(load(whole), load(path))


def test_an_old_file_with_kernels_of_the_spectrogram_is_read(path):
    """As openl3 published them before 0.4, with names in bytes."""
    expected = load(path)
    with h5py.File(path, "a") as file:
        layer = file.create_group("melspectrogram_1")
        names = [b"melspectrogram_1/real:0", b"melspectrogram_1/imag:0", b"melspectrogram_1/mel:0"]
        layer.attrs["weight_names"] = names
        for name in names:
            layer.create_dataset(name.decode(), data=np.zeros((4, 2), "f4"))
        old = [str(name).encode() for name in file.attrs["layer_names"]]
        file.attrs["layer_names"] = [old[0], b"melspectrogram_1", *old[2:]]
    assert same(load(path), expected)


def edit(path, change):
    with h5py.File(path, "a") as file:
        change(file)


def forget_layers(file):
    del file.attrs["layer_names"]


def name_theano(file):
    file.attrs["backend"] = "theano"


def lose_an_array(file):
    del file[f"{CONV}/{CONV}/bias:0"]


def lose_a_layer(file):
    file.attrs["layer_names"] = [n for n in file.attrs["layer_names"] if n != CONV]


def lose_the_last(file):
    file.attrs["layer_names"] = [
        n for n in file.attrs["layer_names"] if n != "audio_embedding_layer"
    ]


def rename_an_array(file):
    names = [str(name).replace("bias", "scale") for name in file[CONV].attrs["weight_names"]]
    file.move(f"{CONV}/{CONV}/bias:0", f"{CONV}/{CONV}/scale:0")
    file[CONV].attrs["weight_names"] = names


def give_two_one_name(file):
    file[CONV].attrs["weight_names"] = [f"{CONV}/kernel:0", "other/kernel:0"]
    file[CONV].copy(f"{CONV}/kernel:0", file[CONV].create_group("other"), name="kernel:0")


def replace_kernel(file, data):
    del file[KERNEL]
    file[f"{CONV}/{CONV}"].create_dataset("kernel:0", data=data)


def widen(file):
    replace_kernel(file, np.zeros((3, 3, 1, 7), "f4"))


def count(file):
    replace_kernel(file, np.zeros((3, 3, 1, 2), "i4"))


def spoil(file):
    replace_kernel(file, np.full((3, 3, 1, 2), np.nan, "f4"))


def grow(file):
    del file[KERNEL]
    file[f"{CONV}/{CONV}"].create_dataset("kernel:0", shape=(1 << 15, 1 << 15), dtype="f4")


def point_elsewhere(file):
    other = Path(file.filename).with_name("other.h5")
    shutil.copy(WRITTEN, other)
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(other, KERNEL)


def make_a_group(file):
    del file[KERNEL]
    file.create_group(KERNEL)


def untrain(file):
    file[f"{NORM}/{NORM}/moving_mean:0"][:] = 0
    file[f"{NORM}/{NORM}/moving_variance:0"][:] = 1


def make_louder(file):
    file[f"{NORM}/{NORM}/moving_variance:0"][:] = 2000


def turn_negative(file):
    file[f"{OTHER}/{OTHER}/moving_variance:0"][:] = -1


def deafen(file):
    file[KERNEL][:] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (forget_layers, "it lists no layers, so this is no file of Keras"),
        (name_theano, "weights of Keras on theano"),
        (lose_an_array, "cut short or damaged ("),
        (lose_a_layer, "has beta, gamma, moving_mean, moving_variance, where OpenL3"),
        (lose_the_last, "2 missing (convs.7.bias, convs.7.weight)"),
        (
            rename_an_array,
            f"layer {CONV} has kernel, scale, where OpenL3 for sound has bias, kernel",
        ),
        (give_two_one_name, f"layer {CONV} has two weights of one name"),
        (widen, "convs.0.weight [7, 1, 3, 3] instead of [2, 1, 3, 3]"),
        (count, f"expected floats, /{KERNEL} is int32 [3, 3, 1, 2]"),
        (spoil, "1 not finite (convs.0.weight)"),
        (grow, f"expected floats, /{KERNEL} is float32 [32768, 32768]"),
        (point_elsewhere, "is kept in another file, which is not read"),
        (make_a_group, f"/{KERNEL} is no array"),
        (untrain, "not weights of a trained OpenL3: it expects pictures of 0.0 dB"),
        (make_louder, "it expects pictures of -"),
        (turn_negative, "it has variances below zero"),
        (deafen, "a tone, silence and clicks are the same to it"),
    ],
)
def test_a_wrong_file_is_refused(path, change, words):
    edit(path, change)
    with pytest.raises(WeightsError, match=re.escape(words)) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"<html>", "a web page"),
        (b"PK\x03\x04 and more", "not a file of HDF5, it begins with b'PK"),
        (gzip.compress(b"net", mtime=0), "Unpack it with gunzip"),
        (WRITTEN.read_bytes()[:5000], "cut short or damaged"),
        (WRITTEN.read_bytes()[:8] + bytes(4000), "cut short or damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    path = tmp_path / "net.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        load(path)


def test_the_whole_network_is_not_loaded_as_a_narrow_one():
    with pytest.raises(WeightsError, match=r"norms.1.weight \[2\] instead of \[64\]"):
        load_openl3(WRITTEN, PICTURES["mel256"])
