"""Reference arrays, and the reference's state dicts under our names."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiogen.codec.model import Codec

GOLDEN = Path(__file__).parents[2] / "golden"
ARRAYS = ("codec.npz", "codec_training.npz")  # written by golden/make_codec.py, ..._training.py
REFERENCE = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"

# What each reference codec was built with, where it differs from the defaults.
CODECS = {
    "codec_base": {"dimension": 16, "num_filters": 4, "codebook_size": 32},
    "codec_causal": {
        "causal": True,
        "dimension": 12,
        "num_filters": 2,
        "codebook_size": 24,
        "pad_mode": "reflect",
    },
    "codec_renorm": {
        "renormalize": True,
        "dimension": 12,
        "num_filters": 2,
        "codebook_size": 24,
        "ratios": [5, 4, 2],
    },
    "codec_nq8": {
        "dimension": 12,
        "num_filters": 2,
        "codebook_size": 16,
        "num_codebooks": 8,
        "codebook_dropout": True,
        "ratios": [8, 5, 2],
    },
}


def our_name(key: str) -> str:
    """Rename an entry of the reference's state dict."""
    key = re.sub(r"^(encoder|decoder)\.model\.", r"\1.layers.", key)
    key = key.replace(".convtr.convtr.", ".conv.").replace(".conv.conv.", ".conv.")
    key = re.sub(r"^(discriminators\.\d+\.)(convs\.\d+|conv_post)\.conv\.", r"\1\2.", key)
    key = key.replace("spec_transform.window", "window")
    key = key.replace("weight_g", "parametrizations.weight.original0")
    key = key.replace("weight_v", "parametrizations.weight.original1")
    return key.replace("quantizer.vq.layers.", "quantizer.codebooks.").replace("._codebook.", ".")


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
def golden() -> Callable[[str], tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Return a function: name of a case -> its arrays, and its state dict under our names."""
    arrays = {name: value for file in ARRAYS for name, value in np.load(GOLDEN / file).items()}

    def read(case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        tensors = _tensors(arrays, f"{case}/")
        state = {k: v for k, v in tensors.items() if k.startswith("state/")}
        outputs = {k: v for k, v in tensors.items() if k not in state}
        return outputs, {our_name(k.removeprefix("state/")): v for k, v in state.items()}

    return read


@pytest.fixture(scope="session")
def golden_text() -> Callable[[str, str], object]:
    """Return a function: case and name of a string -> what its JSON holds."""
    arrays = {name: value for file in ARRAYS for name, value in np.load(GOLDEN / file).items()}
    return lambda case, name: json.loads(str(arrays[f"{case}/{name}"]))


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Folder of all reference arrays, or skip: they are too large for this repository."""
    if not REFERENCE.is_dir():
        pytest.skip("the full reference arrays are not beside this checkout (../shared/fixtures)")
    return REFERENCE


@pytest.fixture
def make_codec(golden: Callable) -> Callable[[str], Codec]:
    """Return a function: name of a case -> the codec that made its arrays, in eval mode."""

    def make(case: str) -> Codec:
        codec = Codec(**CODECS[case])
        state = golden(case)[1]
        codec.load_state_dict(state)
        return codec.eval()

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
