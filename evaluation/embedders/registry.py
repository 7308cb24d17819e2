"""The networks a protocol card can name, each imported when it is first built."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from evaluation.embedders import FeatureNetwork
from evaluation.embedders.names import MODULES
from evaluation.options import problem

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build_network(
    name: str,
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    options: Mapping[str, Any],
) -> FeatureNetwork:
    """Build a network of a card.

    Args:
        name: key of `MODULES`.
        weights: file or folder of its weights; None is a stand-in with random ones.
        device: where `run` works.
        dtype: "float32" or "bfloat16", of that work; what comes out is float32.
        options: what the card says about the network beside its weights and its input.

    Raises:
        ValueError: for an unknown name, dtype or option, or a file that is not those weights.
    """
    if name not in MODULES:
        raise ValueError(f"unknown network {name!r}. Known: {', '.join(sorted(MODULES))}.")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    try:
        build = import_module(MODULES[name]).build
    except ModuleNotFoundError as error:
        raise ValueError(
            f"network {name} needs the package {error.name}; in the source folder: "
            "pip install '.[eval]'"
        ) from error
    try:
        network: FeatureNetwork = build(
            weights=weights, device=torch.device(device), dtype=DTYPES[dtype], **options
        )
    except TypeError as error:  # an option it does not take
        raise ValueError(f"network {name}: {problem(error, options)}") from error
    return network
