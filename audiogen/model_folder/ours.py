"""Folders that we wrote -> models: config.json says what is built, safetensors hold the weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.build import build_on_meta, build_part
from audiogen.model_folder.layout import CheckpointError, load_strict, read_config, read_tensors
from audiogen.model_folder.parts import Model, name_text, place_of_text, where_else
from audiogen.text import TextEncoder, build_text_encoder, outside_names, placed

Part = TypeVar("Part")


def is_ours(path: Path) -> bool:
    """Tell whether a folder holds a config.json of ours, whole or damaged."""
    try:
        read_config(path)
    except FileNotFoundError:
        return False
    except CheckpointError:
        return (path / "codec.safetensors").is_file()
    return True


def load_our_codec(folder: Path) -> Codec:
    """Read the codec of a folder of ours, on the CPU; see `audiogen.checkpoint.load_codec`."""
    config = read_config(folder)
    state = read_tensors(folder, config, "codec.safetensors")
    codec = _build(Codec, config["codec"], folder)
    load_strict(codec, state, source=folder / "codec.safetensors")
    found = codec.fingerprint()
    if found != config["codec_hash"]:
        raise CheckpointError(
            f"{folder}: codec.safetensors is not the codec this model was made with: config.json "
            f"says {config['codec_hash'][:12]}, the file is {found[:12]}. "
            "Copy the whole folder again; its files belong together"
        )
    return codec.eval()


def load_our_model(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype | None,
    text_encoder: str | Path | None,
    *,
    text: TextEncoder | None = None,
) -> Model:
    """Read a whole model of ours, its codec and text encoder on the CPU.

    See `audiogen.checkpoint.load_model`; ``text`` is used instead of what the folder names.
    """
    config = read_config(folder)
    if config["format"] != "audiogen-model":
        raise CheckpointError(
            f"{folder} holds a codec only: load it with Codec.from_pretrained, or give the folder "
            "of a whole model"
        )
    codec = load_our_codec(folder)
    state = read_tensors(folder, config, "lm.safetensors")
    lm = build_on_meta(TokenLM, config["lm"], folder, said_in="config.json")
    load_strict(lm, state, source=folder / "lm.safetensors")
    return Model(
        text=_load_text(folder, config, text_encoder) if text is None else text,
        lm=lm.to(device=device, dtype=dtype or kept_dtype(state, device)).eval(),
        codec=codec,
        max_duration=float(config["max_duration"]),
        config=config,
    )


def _load_text(folder: Path, config: Mapping[str, Any], override: str | Path | None) -> TextEncoder:
    """Rebuild the text encoder; its tensors lie in the folder or, for T5, where its name says."""
    try:
        named = outside_names(config["text"])
    except ValueError as error:
        raise CheckpointError(f"{folder}: config.json: {error}; save the model again") from error
    if override is not None and len(named) != 1:
        kind = config["text"].get("_type")
        raise CheckpointError(
            f"the {kind} text encoder of {folder} has {', '.join(named) or 'nothing'} from outside "
            "of the model, and text_encoder is one other place for one: leave text_encoder out"
        )
    keywords = placed(config["text"], lambda name: place_of_text(name, folder, override))
    try:
        text = _build(build_text_encoder, {"config": keywords}, folder)
    except OSError as error:
        if len(named) != 1:
            raise
        raise where_else(error, folder / "config.json", named[0]) from error
    name_text(text, named, folder)
    # Even if config.json does not list it: a trained encoder without its tensors is noise.
    if isinstance(text, nn.Module) and (text.trainable or "text.safetensors" in config["files"]):
        state = read_tensors(folder, config, "text.safetensors")
        load_strict(text, state, source=folder / "text.safetensors")
    return text


def _build(build: Callable[..., Part], keywords: Mapping[str, Any], folder: Path) -> Part:
    return build_part(build, keywords, folder, said_in="config.json")


def kept_dtype(state: Mapping[str, Tensor], device: torch.device) -> torch.dtype:
    """Return the dtype that tensors of a file are loaded as, if nobody asks for another."""
    stored = next(value.dtype for value in state.values() if value.is_floating_point())
    return torch.float32 if device.type == "cpu" else stored
