"""Folders of `transformers.EncodecModel` -> `Codec` with equal codes and sound."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.model_folder.build import build_part
from audiogen.model_folder.layout import CheckpointError
from audiogen.released.archive import read_archive
from audiogen.released.codec_config import causal_inside
from audiogen.released.names import check_counts, load_named, transformers_names

LOG = logging.getLogger(__name__)

# Key of config.json -> keyword of `Codec`, and what transformers takes if it is not written.
KEYS: dict[str, tuple[str, Any]] = {
    "sampling_rate": ("sample_rate", 24000),
    "audio_channels": ("channels", 1),
    "normalize": ("renormalize", False),
    "hidden_size": ("dimension", 128),
    "num_filters": ("num_filters", 32),
    "num_residual_layers": ("num_residual_layers", 1),
    "upsampling_ratios": ("ratios", [8, 5, 4, 2]),
    "norm_type": ("norm", "weight_norm"),
    "kernel_size": ("kernel_size", 7),
    "last_kernel_size": ("last_kernel_size", 7),
    "residual_kernel_size": ("residual_kernel_size", 3),
    "dilation_growth_rate": ("dilation_base", 2),
    "use_causal_conv": ("causal", True),
    "pad_mode": ("pad_mode", "reflect"),
    "compress": ("compress", 2),
    "num_lstm_layers": ("lstm_layers", 2),
    "trim_right_ratio": ("trim_right_ratio", 1.0),
    "codebook_size": ("codebook_size", 1024),
}
OTHERS: dict[str, Any] = {  # read below, one by one
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
    "use_conv_shortcut": True,
    "codebook_dim": None,
    "chunk_length_s": None,
    "overlap": None,
}
TENSOR_FILES = ("model.safetensors", "pytorch_model.bin")


def is_encodec_folder(path: Path) -> bool:
    """Tell whether a folder holds an `EncodecModel`."""
    try:
        return read_json(path).get("model_type") == "encodec"
    except (OSError, CheckpointError):
        return False


def load_encodec_folder(path: Path) -> Codec:
    """Read an `EncodecModel` that transformers saved; on the CPU, in eval mode.

    All codebooks of the highest bandwidth are in use; `Codec.set_num_codebooks` chooses fewer. A
    model with ``chunk_length_s`` cuts longer sounds into overlapping pieces in transformers. That
    is not done here: a sound is encoded whole, and its codes are those of transformers for sounds
    up to that length. A warning in the log says so.

    Raises:
        FileNotFoundError: if its tensors are missing.
        CheckpointError: if the folder is damaged, or its parts do not fit each other.
    """
    config = {**OTHERS, **read_json(path)}
    keywords = encodec_keywords(config, path)
    file = tensor_file(path)
    state = read_tensors(file)
    check_counts(keywords, state, source=file)
    codec = build_part(Codec, keywords, path / "config.json", said_in="config.json")
    load_named(codec, state, transformers_names(codec), source=file)
    codec.set_num_codebooks(min(_active(config, codec), codec.total_codebooks))
    if config["chunk_length_s"] is not None:
        LOG.warning(
            "%s is used by transformers in pieces of %s s, normalized and encoded one by one; "
            "here a sound is encoded whole, with equal codes up to that length",
            path,
            config["chunk_length_s"],
        )
    return codec.eval()


def read_encodec_folder(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the keywords of the `Codec` that the folder describes, and its tensors; raises as
    `load_encodec_folder` does.
    """
    keywords = encodec_keywords({**OTHERS, **read_json(path)}, path)
    return keywords, read_tensors(tensor_file(path))


def encodec_keywords(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the keywords of the `Codec` that a config.json describes.

    Raises:
        CheckpointError: if a value is of another kind, or the codebooks have another width.
    """
    values = {key: config.get(key, default) for key, (_, default) in KEYS.items()}
    for key, value in values.items():
        if not _is_alike(value, KEYS[key][1]):
            raise CheckpointError(
                f"{path}/config.json has {key} {value!r}, expected {KEYS[key][1]!r} or the like: "
                "was it changed by hand? Save the model again"
            )
    keywords = {KEYS[key][0]: value for key, value in values.items()}
    width = config["codebook_dim"]
    if width not in (None, keywords["dimension"]):
        raise CheckpointError(
            f"{path}/config.json has codebook_dim {width} and hidden_size {keywords['dimension']}: "
            "codebooks of another width than the latents are not known here"
        )
    keywords["true_skip"] = not config["use_conv_shortcut"]
    keywords["num_codebooks"] = _count(config, keywords, _bandwidths(config, path)[-1])
    whole = keywords["renormalize"] or keywords["norm"] == "time_group_norm"
    return causal_inside(keywords) if keywords["causal"] and whole else keywords


def _is_alike(value: object, default: object) -> bool:
    """Tell whether a value can stand where the default does; `Codec` checks how large it is."""
    if isinstance(default, list):
        if not isinstance(value, list) or not value:
            return False
        return all(_is_alike(v, 1) and v >= 1 for v in value)  # divided by, before `Codec` sees it
    if isinstance(default, bool) or not isinstance(default, int):
        kinds = (int, float) if isinstance(default, float) else type(default)
        return isinstance(value, kinds)
    return isinstance(value, int) and not isinstance(value, bool)


def _active(config: Mapping[str, Any], codec: Codec) -> int:
    """Codebooks of the highest bandwidth."""
    return _count(config, codec.config, max(config["target_bandwidths"]))


def _count(config: Mapping[str, Any], keywords: Mapping[str, Any], bandwidth: float) -> int:
    """Codebooks that fill so many kbit/s."""
    frame_rate = max(1, math.ceil(keywords["sample_rate"] / math.prod(keywords["ratios"])))
    bits = frame_rate * math.log2(max(2, keywords["codebook_size"]))
    return max(1, math.floor(bandwidth * 1000 / bits))


def _bandwidths(config: Mapping[str, Any], path: Path) -> Sequence[float]:
    found = config["target_bandwidths"]
    if (
        isinstance(found, list)
        and found
        and all(isinstance(b, int | float) and 0 < b < 1e6 for b in found)
    ):
        return found
    raise CheckpointError(
        f"{path}/config.json has target_bandwidths {found!r} instead of a list of kbit/s"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the config.json of a folder."""
    file = path / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not JSON ({error}): copy the folder again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} holds no object: copy the folder again")
    return config


def tensor_file(path: Path) -> Path:
    """Return the file of tensors of a folder."""
    for name in TENSOR_FILES:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(
        f"{path} has a config.json of an EncodecModel and none of {', '.join(TENSOR_FILES)}: copy "
        "or download the whole folder again"
    )


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file of either kind."""
    if file.suffix == ".bin":
        return {k: v for k, v in read_archive(file).items() if isinstance(v, Tensor)}
    try:
        return load_file(file)
    except SafetensorError as error:
        raise CheckpointError(
            f"{file} is not a safetensors file ({error}): copy or download it again"
        ) from error
