"""Read the weights of a Keras model from its .h5 file, without TensorFlow."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evaluation.embedders.weight_file import AGAIN, WeightsError, check_weight_file

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LARGEST = 1 << 28  # numbers in one array
Layers = list[tuple[str, dict[str, np.ndarray]]]  # name -> "kernel", "bias", ... -> numbers


def read_keras(path: Path) -> Layers:
    """Return the layers that have weights, in the order of the model.

    Args:
        path: a file of `save_weights`, or of `save` with the model around them.

    Returns:
        float arrays by the last part of their names, per layer.

    Raises:
        WeightsError: if it is another kind of file, cut short or damaged, if it points to another
            file, or if it holds anything but floats.
    """
    begins = check_weight_file(path)
    if begins[:2] == b"\x1f\x8b":
        raise WeightsError(f"{path}: compressed, as it is published. Unpack it with gunzip.")
    if begins[:8] != SIGNATURE:
        raise WeightsError(f"{path}: not a file of HDF5, it begins with {begins!r}. {AGAIN}")
    try:
        with h5py.File(path, "r") as file:
            return _read_layers(file, path)
    except WeightsError:
        raise
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(f"{path}: cut short or damaged ({reason}). {AGAIN}") from error


def _read_layers(file: Any, path: Path) -> Layers:
    whole = "layer_names" not in file.attrs and "model_weights" in file
    model = file["model_weights"] if whole else file
    if "layer_names" not in model.attrs:
        raise WeightsError(f"{path}: it lists no layers, so this is no file of Keras. {AGAIN}")
    backend = _text(model.attrs.get("backend", "tensorflow"))
    if backend != "tensorflow":
        raise WeightsError(f"{path}: weights of Keras on {backend}, whose kernels are other ones")
    layers = []
    for layer in map(_text, model.attrs["layer_names"]):
        names = [_text(name) for name in model[layer].attrs["weight_names"]]
        if names:
            arrays = {name: _read(file, model[layer][name], path) for name in names}
            layers.append((layer, _short_names(arrays, layer, path)))
    return layers


def _read(file: Any, found: Any, path: Path) -> np.ndarray:
    """Read one array, once it is known to be in this file, of floats, and of a sane size."""
    if not isinstance(found, h5py.Dataset):
        raise WeightsError(f"{path}: {found.name} is no array. {AGAIN}")
    if found.file.filename != file.filename or found.external or found.is_virtual:
        raise WeightsError(f"{path}: {found.name} is kept in another file, which is not read")
    if found.dtype.kind != "f" or math.prod(found.shape) > LARGEST:
        shape = list(found.shape)
        raise WeightsError(f"{path}: expected floats, {found.name} is {found.dtype} {shape}")
    return np.asarray(found[()])


def _short_names(arrays: Mapping[str, np.ndarray], layer: str, path: Path) -> dict[str, np.ndarray]:
    """Take "conv2d_1/kernel:0" for "kernel"."""
    short = {name.rpartition("/")[2].partition(":")[0]: array for name, array in arrays.items()}
    if len(short) != len(arrays):
        raise WeightsError(f"{path}: layer {layer} has two weights of one name")
    return short


def _text(value: Any) -> str:
    """Return text, which old versions wrote as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
