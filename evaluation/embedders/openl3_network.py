"""OpenL3's layers for sound, with published weights that are tested, or with hashed ones."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from evaluation.embedders.hashed import fill_hashed
from evaluation.embedders.keras_weights import Layers, read_keras
from evaluation.embedders.openl3_front import RANGE, WINDOW, Picture, draw
from evaluation.embedders.weight_file import WeightsError, empty_network, load_strict

CHANNELS = (64, 128, 256, 512)
SIZES = {512: (1, 1), 6144: (4, 3)}  # of an embedding -> parts of a picture, by height and time
FIRST_KEY = 3000  # of the hashed weights; the other networks take others
EPSILON = 1e-3  # added to variances, Keras' own
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
        "moving_variance": "running_var"}  # fmt: skip
CONV = {"kernel": "weight", "bias": "bias"}


class OpenL3Network(nn.Module):
    """Eight convolutions, each behind a normalization; the front end is outside."""

    def __init__(self, *, channels: tuple[int, int, int, int] = CHANNELS) -> None:
        """Take the channels of the four blocks; those of the published networks are the default."""
        super().__init__()
        widths = [1, *(width for width in channels for _ in range(2))]
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=EPSILON) for width in widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
            for inputs, outputs in pairwise(widths)
        )

    def forward(self, pictures: Tensor, parts: tuple[int, int]) -> Tensor:
        """Map pictures [n, bands, frames] to embeddings [n, height * time * channels].

        Args:
            pictures: in dB from -80 to 0.
            parts: of each picture, by height and time, of which the largest values are taken.
        """
        image = self.convs[0](self.norms[0](pictures[:, None]))
        for index in range(1, len(self.convs)):
            image = relu(self.norms[index](image))
            if index in (2, 4, 6):
                image = max_pool2d(image, 2)
            image = self.convs[index](image)
        size = (image.shape[2] // parts[0], image.shape[3] // parts[1])
        return max_pool2d(image, size).permute(0, 2, 3, 1).flatten(1)  # channels last, as in Keras


def load_openl3(
    path: Path, picture: Picture, kind: Callable[[], OpenL3Network] = OpenL3Network
) -> OpenL3Network:
    """Load weights and test them on three sounds.

    Args:
        path: a file of Keras as openl3 publishes them.
        picture: of the model it is to be.
        kind: makes the network, of the widths the file has.

    Raises:
        WeightsError: if the file is not OpenL3 for sound, or is not trained.
    """
    network = empty_network(kind)
    load_strict(network, rename_keras(read_keras(path), path), path)
    _check_trained(network, picture, path)
    return network


def rename_keras(layers: Layers, path: Path) -> dict[str, Tensor]:
    """Turn layers of Keras into a state of torch: by their order, as Keras does.

    Their names count up over all models of a process, and say nothing. Files of openl3 before 0.4
    begin with a layer of the spectrogram, with kernels of its own; it is the front end's here.

    Raises:
        WeightsError: if they are not normalizations and convolutions in turn.
    """
    layers = [layer for layer in layers if "spectrogram" not in layer[0]]
    state = {}
    for index, (name, arrays) in enumerate(layers):
        known, group = ((NORM, "norms"), (CONV, "convs"))[index % 2]
        if arrays.keys() != known.keys():
            raise WeightsError(
                f"{path}: layer {name} has {', '.join(sorted(arrays))}, where OpenL3 for sound has "
                f"{', '.join(sorted(known))}. Is it the file of another network?"
            )
        for theirs, ours in known.items():
            array = arrays[theirs]
            if array.ndim == 4:  # [height, time, in, out]
                array = array.transpose(3, 2, 0, 1)
            state[f"{group}.{index // 2}.{ours}"] = torch.from_numpy(array.astype(np.float32))
        if known is NORM:
            state[f"norms.{index // 2}.num_batches_tracked"] = torch.tensor(0)
    return state


def hash_openl3() -> OpenL3Network:
    """Make a network of hashed random numbers."""
    network = empty_network(OpenL3Network)
    fill_hashed(network, hash_rule, first_key=FIRST_KEY)
    return network


def hash_rule(name: str, tensor: Tensor) -> tuple[float, float]:
    """Return middle and width such that every layer keeps the size of what it gets."""
    known: dict[str, tuple[float, float]] = {
        "norms.0.running_mean": (-40.0, 10.0),  # dB
        "norms.0.running_var": (400.0, 100.0),
    }
    if name in known:
        return known[name]
    if tensor.ndim > 1:
        return 0.0, math.sqrt(24 / tensor[0].numel())
    ends: dict[str, tuple[float, float]] = {
        "num_batches_tracked": (0.0, 0.0),
        "running_var": (1.0, 0.5),
        "weight": (1.0, 0.2),
    }
    kind = name.rpartition(".")[2]
    return (0.0, 0.2) if name.startswith("convs") else ends.get(kind, (0.0, 0.2))


@torch.inference_mode()
def _check_trained(network: OpenL3Network, picture: Picture, path: Path) -> None:
    """Refuse weights that never saw a picture, or hear the same in every sound.

    What the first layer learned of its pictures lies where these do: from -80 to 0 dB, and such
    numbers vary by 40 squared at most.
    """
    state, half = network.state_dict(), RANGE / 2
    mean, variance = (float(state[f"norms.0.running_{what}"]) for what in ("mean", "var"))
    times = torch.arange(WINDOW, dtype=torch.float64) / WINDOW
    tone = 0.5 * (2 * math.pi * 1000 * times).sin()
    sounds = torch.stack([tone, torch.zeros_like(tone), tone * (times % 0.1 < 0.01)])
    embeddings = network(draw(sounds[:, None], picture)[:, 0], SIZES[512])
    wrong = None
    if any(float(state[f"norms.{i}.running_var"].min()) < 0 for i in range(len(network.norms))):
        wrong = "it has variances below zero"
    elif not embeddings.isfinite().all():
        wrong = "its embeddings are not finite"
    elif not (-RANGE <= mean < 0 and 0 < variance <= 1.01 * half**2):
        wrong = f"it expects pictures of {mean:.1f} dB, give or take {abs(variance) ** 0.5:.1f}"
    elif (embeddings[1:] - embeddings[0]).abs().amax(dim=1).min() < 1e-3:
        wrong = "a tone, silence and clicks are the same to it"
    if wrong:
        raise WeightsError(f"{path}: these are not weights of a trained OpenL3: {wrong}.")
