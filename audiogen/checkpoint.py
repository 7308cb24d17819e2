"""Model folders <-> models: ours, of config.json + safetensors, and published ones.

A folder of ours holds `config.json` (format, version, the constructor arguments of every part, the
codec's fingerprint, size and sha256 of each tensor file), `codec.safetensors` and, for a whole
model, `lm.safetensors` and `text.safetensors` (absent when the text encoder is an outside
network such as T5, which is named in config.json), and a model card `README.md`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audiogen.codec.fast import Fast, accelerated
from audiogen.codec.model import Codec
from audiogen.device import usable_device
from audiogen.files import given_path
from audiogen.lm.fast import Fast as LMFast
from audiogen.lm.fast import accelerated as accelerated_lm
from audiogen.lm.model import TokenLM
from audiogen.model_folder.card import describe_part
from audiogen.model_folder.certificate import check_certificate
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE, resolve, resolve_codec
from audiogen.model_folder.layout import CheckpointError, read_config
from audiogen.model_folder.ours import is_ours, kept_dtype, load_our_codec, load_our_model
from audiogen.model_folder.parts import Model, text_beside
from audiogen.model_folder.replace import restore_folder
from audiogen.model_folder.write import Check, write_folder
from audiogen.released.export import Parts
from audiogen.released.facts import hashed_config
from audiogen.released.lm_load import read_lm_file
from audiogen.released.load import load_released_codec, released_file
from audiogen.released.musicgen_load import (
    hashed_facts,
    is_musicgen_folder,
    load_musicgen_codec,
    load_musicgen_folder,
)
from audiogen.released.transformers_folder import is_encodec_folder, load_encodec_folder
from audiogen.released.whole import is_whole, load_whole
from audiogen.text import TextEncoder

__all__ = [
    "CheckpointError",
    "Model",
    "find_codec",
    "find_folder",
    "is_ours",
    "load_codec",
    "load_model",
    "load_parts",
    "read_model_config",
    "save_codec",
    "save_model",
]


def save_codec(
    codec: Codec,
    folder: str | Path,
    *,
    card: Mapping[str, object] | None = None,
    check: Check | None = None,
) -> Path:
    """Write ``codec`` alone as a model folder, whole or not at all; see `save_model`."""
    config = {
        "format": "audiogen-codec",
        "codec": codec.config,
        "codec_hash": codec.fingerprint(),
    }
    modules = {"codec.safetensors": codec}
    return write_folder(Path(folder), config, modules, card=card, facts=_facts(codec), check=check)


def save_model(
    folder: str | Path,
    *,
    text: TextEncoder,
    lm: TokenLM,
    codec: Codec,
    max_duration: float = 10.0,
    card: Mapping[str, object] | None = None,
    half: bool = False,
    check: Check | None = None,
) -> Path:
    """Write a whole model; a process killed half way leaves the old folder, never a mix.

    Args:
        folder: new, empty, or a model folder, whose other files (notes, a T5 folder) are kept.
        text: its tensors are written only if it learns with the language model. A T5 that lay in
            the folder of the model that was loaded is copied; any other is named.
        lm: the language model.
        codec: whose codes the language model was trained on.
        max_duration: seconds, the longest window the language model was trained on.
        card: what the model card says; see `audiogen.model_folder.card.check_card`.
        half: store the weights as float16, which each must have the value of already; they are
            read as float32 again.
        check: called with the folder before it takes its place; see
            `audiogen.model_folder.write.write_folder`.

    Raises:
        ValueError: if ``folder`` holds something that is not a model, or ``half`` would change a
            weight.
    """
    config = {
        "format": "audiogen-model",
        "codec": codec.config,
        "codec_hash": codec.fingerprint(),
        "lm": lm.config,
        "text": text.config,
        "max_duration": float(max_duration),
    }
    modules: dict[str, nn.Module] = {"codec.safetensors": codec, "lm.safetensors": lm}
    if text.trainable and isinstance(text, nn.Module):
        modules["text.safetensors"] = text
    encoder = describe_part(text.config)
    facts = _facts(codec) | {"longest window": f"{max_duration:g} s", "text encoder": encoder}
    beside = text_beside(text)
    return write_folder(
        Path(folder),
        config,
        modules,
        card=card,
        facts=facts,
        folders=beside,
        half=half,
        check=check,
    )


def load_codec(
    source: str | Path,
    *,
    device: str | torch.device = "cpu",
    fast: Fast | None = None,
    revision: str | None = None,
) -> Codec:
    """Read a codec, in eval mode.

    Args:
        source: a codec folder or a whole model that we saved; a published
            ``compression_state_dict.bin``, a training checkpoint of AudioCraft, or a folder with
            one; a folder of a transformers `EncodecModel`; or a hub id of any of these.
        device: where the codec is put.
        fast: "near" or "fast", for inference with a known error; see `audiogen.codec.fast`.
        revision: of a hub id: a commit, branch or tag.

    Raises:
        ValueError: if the device cannot be used, or ``fast`` is unknown.
        FileNotFoundError: if the folder or a file of it is missing.
        CheckpointError: if it is none of these, is damaged, or its codec is not the one
            the folder was saved with; see also `audiogen.released.load_released_codec`.
    """
    device = usable_device(device)
    path = find_codec(source, revision=revision)
    codec = _load_exact(path)
    check_certificate(path, names=("codec.safetensors", CODEC_FILE, path.name), whole=False)
    return accelerated(codec.to(device).eval(), fast)


def _load_exact(path: Path) -> Codec:
    if not is_ours(path):
        if released_file(path) is not None or (path / LM_FILE).is_file():
            return load_released_codec(path)
        if is_encodec_folder(path):
            return load_encodec_folder(path)
        if is_musicgen_folder(path):
            return load_musicgen_codec(path)
    return load_our_codec(path)


def load_model(
    source: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    text_encoder: str | Path | None = None,
    codec_fast: Fast | None = None,
    lm_fast: LMFast | None = None,
    revision: str | None = None,
    codec: str | Path | None = None,
) -> Model:
    """Read a whole model, in eval mode; strict, as `load_codec` is.

    Args:
        source: a folder that `save_model` wrote; a folder in the published layout, with
            ``state_dict.bin`` and ``compression_state_dict.bin``, or the former's path; a folder
            of a transformers `MusicgenForConditionalGeneration`; or a hub id of any of these.
        device: where the parts are put.
        dtype: of the language model; None keeps the stored one, except that half precision
            becomes float32 on the CPU. The codec and the text encoder stay float32.
        text_encoder: where an outside text encoder is read from, instead of the name in
            the model; a relative name is first looked for inside the folder.
        codec_fast: "near" or "fast", a quicker codec with a known error that cannot be saved.
        lm_fast: the same of the language model; see `audiogen.lm.fast`. Its exact weights are let
            go while they are rounded; ``dtype`` is left out.
        revision: of a hub id: a commit, branch or tag.
        codec: of a published language model whose codec does not lie beside it, that codec.

    Raises:
        CheckpointError: as `load_codec` and `audiogen.released.load_released` do.
        TextEncoderError: if an outside text encoder cannot be read.
    """
    device = usable_device(device)
    folder = find_folder(source, revision=revision)
    if not is_ours(folder) and is_whole(folder):
        file = read_lm_file(folder)
        dtype = dtype or kept_dtype(file.state, device)
        model = load_whole(file, text_encoder=text_encoder, codec=codec, dtype=dtype, device=device)
    elif not is_ours(folder) and codec is None and is_musicgen_folder(folder):
        model = load_musicgen_folder(
            folder, text_encoder=text_encoder, dtype=dtype or torch.float32, device=device
        )
    elif codec is not None:
        raise ValueError(f"{folder} has its own codec: leave codec out")
    else:
        model = load_our_model(folder, device, dtype, text_encoder)
    check_certificate(folder, whole=False)  # last: others say more exactly what is wrong
    if isinstance(model.text, nn.Module):
        model.text.to(device).eval()
    return replace(
        model,
        codec=accelerated(model.codec.to(device), codec_fast),
        lm=accelerated_lm(model.lm, lm_fast, release=True),
    )


def load_parts(folder: Path, *, like: Parts) -> Model:
    """Read an export of ``like`` again, where it is and as precise, to compare them.

    Its text encoder is used again, unless the folder has its own.
    """
    device, dtype = like.lm.head.weight.device, like.lm.head.weight.dtype
    own = like.text.trainable or any(entry.is_dir() for entry in folder.iterdir())
    text = None if own else like.text
    if is_ours(folder):
        model = load_our_model(folder, device, dtype, None, text=text)
    else:
        model = load_whole(read_lm_file(folder), dtype=dtype, device=device, text=text)
    if isinstance(model.text, nn.Module):
        model.text.to(device).eval()
    return replace(model, codec=model.codec.to(device))


def read_model_config(folder: Path) -> dict[str, Any]:
    """Return what decides what a model computes, and its card: config.json, or its like.

    Raises:
        FileNotFoundError: if the folder is missing.
        CheckpointError: if it is no model, or damaged.
    """
    if not is_ours(folder) and is_whole(folder):
        return hashed_config(read_lm_file(folder))
    if is_musicgen_folder(folder):
        return hashed_facts(folder)
    return read_config(folder)


def find_folder(source: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a path or hub id, bringing back one whose replacement was killed."""
    restore_folder(given_path(source))
    return resolve(source, revision=revision)


def find_codec(source: str | Path, *, revision: str | None = None) -> Path:
    """Return the file or folder of a codec's path or hub id, as `find_folder` does."""
    restore_folder(given_path(source))
    return resolve_codec(source, revision=revision)


def _facts(codec: Codec) -> dict[str, object]:
    return {
        "sample rate": f"{codec.sample_rate} Hz, {codec.channels} channel(s)",
        "frame rate": f"{codec.frame_rate:g} Hz",
        "codebooks": f"{codec.num_codebooks} of {codec.codebook_size} codes",
        "codec hash": codec.fingerprint(),
    }
