"""CLAP's two towers, built by transformers, with published weights that are tested or hashed ones.

Source: Wu et al. 2023 (arXiv:2211.06687), HTSAT for sound and RoBERTa for text.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ClapConfig, ClapModel
from transformers.initialization import no_init_weights

from evaluation.audio import file_sha256
from evaluation.embedders.clap_archive import read_laion
from evaluation.embedders.clap_copy import copy_places, read_copy, write_copy
from evaluation.embedders.clap_front import BANDS, FRAMES
from evaluation.embedders.clap_names import buffers, check_mel_bank, read_config, to_transformers
from evaluation.embedders.hashed import hashed_uniform
from evaluation.embedders.weight_file import (
    AGAIN,
    WeightsError,
    check_tensors,
    load_strict,
    read_torch_file,
    weights_sha256,
)

FIRST_KEY = 2000  # of the hashed weights, so that no network shares numbers with another
TOWERS: dict[str, dict[str, Any]] = {
    "tiny": {"patch_embeds_hidden_size": 96, "depths": [2, 2, 6, 2], "hidden_size": 768},
    "base": {"patch_embeds_hidden_size": 128, "depths": [2, 2, 12, 2], "hidden_size": 1024},
}
HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
HUB_FRONT_END = {
    "frequency_min": 50, "frequency_max": 14000, "fft_window_size": 1024, "hop_length": 480,
    "sampling_rate": 48000, "feature_size": 64,
}  # fmt: skip


def load_clap(path: Path, *, cache: Path | None = None) -> tuple[ClapModel, str]:
    """Load and test published weights.

    Args:
        path: a `.pt` of laion_clap, or a folder as the Hugging Face hub has it, whose config.json
            is followed as it is: its text towers say 1e-12 where RoBERTa's norms have 1e-5, which
            a `.pt` gets.
        cache: folder for the converted copy of a `.pt`; None puts it beside the file, or in
            `~/.cache/audiogen/converted` where that cannot be written.

    Returns:
        the network, and the sha256 of what it was read from.

    Raises:
        WeightsError: if it is not CLAP, or its audio tower does not tell sounds apart.
    """
    if path.is_dir():
        return _load_folder(path)
    if path.suffix == ".safetensors":
        raise WeightsError(f"{path}: give the folder that holds it and its config.json, or a .pt")
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file or folder. {AGAIN} What the hub has is fetched by "
            "`hf download`, which says into which folder"
        )
    sha256 = weights_sha256(path)
    places = copy_places(path, sha256, cache)
    converted = read_copy(places, sha256)
    if converted is not None:
        return _make(*converted, path), sha256
    original = read_laion(path)
    check_mel_bank(original, path)
    state = to_transformers(original)
    config = read_config(state, path)
    state |= buffers(config)
    network = _make(config, state, path)
    write_copy(places, sha256, (config, state))
    return network, sha256


def hash_clap(*, tower: str = "base", fusion: bool = False) -> ClapModel:
    """Make a network of hashed random numbers.

    Raises:
        ValueError: if there is no such tower.
    """
    if tower not in TOWERS:
        raise ValueError(f"tower must be one of {', '.join(TOWERS)}, got {tower!r}")
    audio = TOWERS[tower] | {"enable_fusion": fusion, "fusion_type": "aff_2d" if fusion else None}
    network = build_clap({"audio_config": audio, "text_config": {"layer_norm_eps": 1e-5}})
    fill_clap(network)
    return network


def build_clap(config: Mapping[str, Any]) -> ClapModel:
    """Build a network whose numbers, other than constants, are still to be written."""
    with no_init_weights():
        network = ClapModel(ClapConfig.from_dict(dict(config)))
    return network.eval().requires_grad_(False)


def fill_clap(network: nn.Module, *, first_key: int = FIRST_KEY) -> None:
    """Overwrite the weights with hashed numbers such that every layer keeps its size."""
    for index, (name, tensor) in enumerate(network.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        middle, scale = _hash_rule(name, tensor)
        numbers = hashed_uniform(tuple(tensor.shape), key=first_key + index, scale=scale)
        tensor.copy_(middle + numbers)


def _hash_rule(name: str, tensor: Tensor) -> tuple[float, float]:
    if name.startswith("logit_scale"):
        return math.log(1 / 0.07), 0.0
    if tensor.ndim > 1:
        return 0.0, math.sqrt(12 / tensor[0].numel())
    return (1.0 if name.endswith(("weight", "running_var")) else 0.0), 0.2


def _make(config: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> ClapModel:
    network = build_clap(config)
    load_strict(network, state, path)
    check_two(embed_audio(network, two_mels(FRAMES)), path)
    return network


def _load_folder(path: Path) -> tuple[ClapModel, str]:
    described = (path / "config.json").is_file()
    config = _read_json(path / "config.json") if described else {}
    file = next((path / name for name in HUB_WEIGHTS if (path / name).is_file()), None)
    if config.get("model_type") != "clap" or file is None:
        raise WeightsError(
            f"{path}: expected a folder of CLAP with config.json and {' or '.join(HUB_WEIGHTS)}, "
            "as `hf download laion/clap-htsat-unfused` makes it"
        )
    _check_front_end(path)
    try:
        content = load_file(file) if file.suffix == ".safetensors" else read_torch_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file}: cut short or damaged ({error}). {AGAIN}") from error
    network = build_clap(config)
    constants = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not tensor.is_floating_point() and not name.endswith("num_batches_tracked")
    }
    load_strict(network, constants | check_tensors(content, file), file)
    check_two(embed_audio(network, two_mels(FRAMES)), file)
    names = [file_sha256(file), file_sha256(path / "config.json")]
    return network, hashlib.sha256(" ".join(names).encode()).hexdigest()


def _check_front_end(path: Path) -> None:
    """Refuse a folder whose front end is not the one here."""
    file = path / "preprocessor_config.json"
    if not file.is_file():
        return
    found = _read_json(file)
    wrong = [
        f"{key} {found[key]} instead of {value}"
        for key, value in HUB_FRONT_END.items()
        if key in found and found[key] != value
    ]
    if wrong:
        raise WeightsError(f"{file}: another front end than CLAP's: {', '.join(wrong)}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not the JSON of a model folder ({error})") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


@torch.inference_mode()
def embed_audio(network: ClapModel, mels: Tensor) -> Tensor:
    """Map float32 [n, 1, 1001, 64], or [n, 4, 1001, 64] to be fused, to [n, 512] of length 1.

    With fewer than four spectrograms there is nothing to fuse, and nothing is, as in laion_clap;
    transformers' own extractor would have one item of the batch fused, drawn at random.
    """
    longer = torch.full((len(mels), 1), mels.shape[1] > 1, device=mels.device)
    found = network.get_audio_features(input_features=mels, is_longer=longer).pooler_output
    return torch.nn.functional.normalize(found.float(), dim=-1)


@torch.inference_mode()
def embed_text(network: ClapModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Map token ids [n, L] and their mask to [n, 512] of length 1."""
    found = network.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
    return torch.nn.functional.normalize(found.float(), dim=-1)


def two_mels(frames: int) -> Tensor:
    """Return two spectrograms that have nothing in common, float32 [2, 1, frames, 64] in dB."""
    ramp = torch.linspace(-80, 0, BANDS).expand(frames, BANDS)
    noise = 60 * hashed_uniform((frames, BANDS), key=1) - 40
    return torch.stack([ramp, noise])[:, None]


def check_two(rows: Tensor, path: Path) -> None:
    """Refuse weights by what their audio tower made of `two_mels`, [2, D] of length 1.

    Raises:
        WeightsError: if the two are the same, or nothing at all.
    """
    if not torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-3):  # overflow makes them 0
        raise WeightsError(f"{path}: the embedding of a sound is not finite: weights of no use")
    if float(rows[0] @ rows[1]) > 1 - 1e-6:
        raise WeightsError(
            f"{path}: these weights are not CLAP's: two different sounds get the same embedding"
        )
