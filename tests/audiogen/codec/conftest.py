"""Reference arrays, and the reference's state dicts under our names."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.released import load_released
from audiogen.released.codec_config import read_codec_config
from audiogen.released.names import published_names
from audiogen.released.xp_cfg import XpCfg

GOLDEN = Path(__file__).parents[2] / "golden"
ARRAYS = ("codec.npz", "codec_training.npz")  # written by golden/make_codec.py, ..._training.py
REFERENCE = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"

# What each reference codec was built with, where it differs from golden/xp_cfg.yaml.
CODECS: dict[str, dict[str, dict[str, object]]] = {
    "codec_base": {"seanet": {"dimension": 16, "n_filters": 4}, "rvq": {"bins": 32}},
    "codec_causal": {
        "encodec": {"causal": True},
        "seanet": {"dimension": 12, "n_filters": 2, "pad_mode": "reflect"},
        "rvq": {"bins": 24},
    },
    "codec_renorm": {
        "encodec": {"renormalize": True},
        "seanet": {"dimension": 12, "n_filters": 2, "ratios": [5, 4, 2]},
        "rvq": {"bins": 24},
    },
    "codec_nq8": {
        "seanet": {"dimension": 12, "n_filters": 2, "ratios": [8, 5, 2]},
        "rvq": {"bins": 16, "n_q": 8, "q_dropout": True},
    },
}


def xp_cfg(case: str) -> dict[str, Any]:
    """Return the published configuration of a reference codec, with its references."""
    tree = yaml.safe_load((GOLDEN / "xp_cfg.yaml").read_text(encoding="utf-8"))
    for part, changes in CODECS[case].items():
        tree[part] |= changes
    return tree


@cache
def codec_names() -> dict[str, str]:
    """Map the reference's names of all tensors of all its codecs to ours."""
    names: dict[str, str] = {}
    for case in CODECS:
        keywords = read_codec_config(XpCfg(xp_cfg(case), source=Path(case)))
        names |= published_names(Codec(**keywords))
    return names


def our_name(key: str) -> str:
    """Rename an entry of the reference's state dict, of a codec or a discriminator."""
    if key in codec_names():
        return codec_names()[key]
    key = re.sub(r"^(discriminators\.\d+\.)(convs\.\d+|conv_post)\.conv\.", r"\1\2.", key)
    key = key.replace("spec_transform.window", "window")
    key = key.replace("weight_g", "parametrizations.weight.original0")
    return key.replace("weight_v", "parametrizations.weight.original1")


@pytest.fixture(name="our_name", scope="session")
def our_name_fixture() -> Callable[[str], str]:
    """Return `our_name`."""
    return our_name


def _tensors(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(arrays[name])
        for name in arrays
        if name.startswith(prefix) and arrays[name].dtype.kind != "U"
    }


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """All reference arrays, by CASE/NAME."""
    return {name: value for file in ARRAYS for name, value in np.load(GOLDEN / file).items()}


@pytest.fixture(scope="session")
def golden(arrays) -> Callable[[str], tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Return a function: name of a case -> its arrays, and its state dict under our names."""

    def read(case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        tensors = _tensors(arrays, f"{case}/")
        state = {k: v for k, v in tensors.items() if k.startswith("state/")}
        outputs = {k: v for k, v in tensors.items() if k not in state}
        return outputs, {our_name(k.removeprefix("state/")): v for k, v in state.items()}

    return read


@pytest.fixture(scope="session")
def golden_text(arrays) -> Callable[[str, str], object]:
    """Return a function: case and name of a string -> what its JSON holds."""
    return lambda case, name: json.loads(str(arrays[f"{case}/{name}"]))


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Folder of all reference arrays, or skip: they are too large for this repository."""
    if not REFERENCE.is_dir():
        pytest.skip("the full reference arrays are not beside this checkout (../shared/fixtures)")
    return REFERENCE


@pytest.fixture
def make_codec(arrays, tmp_path) -> Callable[[str], Codec]:
    """Return a function: name of a case -> the codec of its arrays, from a published file."""

    def make(case: str) -> Codec:
        package = {
            "best_state": _tensors(arrays, f"{case}/state/"),
            "xp.cfg": yaml.safe_dump(xp_cfg(case)),
            "version": "1.4.0a2",
            "exported": True,
        }
        torch.save(package, tmp_path / f"{case}.bin")
        return load_released(tmp_path / f"{case}.bin")

    return make


def tiny(**changes: object) -> Codec:
    """Build a codec small enough for any test; hop 20, 4 codebooks of 16 entries."""
    config = {
        "sample_rate": 1000,
        "dimension": 6,
        "num_filters": 2,
        "ratios": [5, 4],
        "lstm_layers": 0,
        "codebook_size": 16,
        "kmeans_iters": 10,
        "init": "scaled",
    }
    return Codec(**(config | changes))


@pytest.fixture
def tiny_codec() -> Callable[..., Codec]:
    """Return `tiny`."""
    return tiny
