"""The layout of our model folder: config.json, tensor files, a model card.

config.json holds the format, its version, the constructor arguments of every part, the card, and
size and sha256 of each tensor file. Files are safetensors: nothing in a folder can run code. With
``stored_as`` "float16" their weights take half the bytes and are read as the float32 they were.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from audiogen.files import file_hash
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE

VERSION = 2  # raised with every change of the layout
CODEC_KEYS = ("codec", "codec_hash", "card", "files")
REQUIRED = {  # by format
    "audiogen-codec": CODEC_KEYS,
    "audiogen-model": (*CODEC_KEYS, "lm", "text", "max_duration"),
}
KINDS = {"codec_hash": str, "max_duration": int | float}  # the other keys hold objects


class CheckpointError(ValueError):
    """A model folder that cannot be read as what it says it is."""


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check config.json; raises as `load_codec` does."""
    if not folder.exists():
        raise FileNotFoundError(
            f"no model at {folder}: there is no such folder. Give one that holds a config.json"
        )
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is a file: give the folder that holds its config.json, or of a published "
            f"model the {LM_FILE}"
        )
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(_no_config(folder))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not JSON ({error}): the file is damaged, copy or save the model again"
        ) from error
    _check_format(path, config)
    return config


def read_tensors(folder: Path, config: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    """Read one tensor file whole; raises as `load_codec` does."""
    path = folder / name
    listed = config["files"].get(name)
    if listed is None or not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing{'' if listed else ' and not listed in config.json'}: "
            "copy or download the whole folder again"
        )
    size, expected = path.stat().st_size, listed["bytes"]
    if size != expected:
        raise CheckpointError(
            f"{path} has {size} bytes instead of {expected}: it was cut short or is of another "
            "model; copy or download the whole folder again"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a safetensors file ({error}): copy or download it again"
        ) from error
    if config.get("stored_as") is None:
        return tensors
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def model_hash(config: Mapping[str, Any]) -> str:
    """Hash of all in a config.json that decides what the model computes, sha256 in hex."""
    parts = {key: config.get(key) for key in ("codec", "codec_hash", "lm", "text", "max_duration")}
    files = {name: entry["sha256"] for name, entry in config["files"].items()}
    text = json.dumps({**parts, "files": files}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Read every tensor file and compare it with its sha256.

    Raises:
        FileNotFoundError: if one is missing.
        CheckpointError: naming those that differ.
    """
    missing = [name for name in config["files"] if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}: copy or download the whole folder again"
        )
    wrong = [
        name
        for name, entry in config["files"].items()
        if file_hash(folder / name) != entry["sha256"]
    ]
    if wrong:
        raise CheckpointError(
            f"{folder}: {', '.join(wrong)} is not what was saved: copy or download it again"
        )


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, source: Path) -> None:
    """Load tensors by name; every difference is listed at once.

    Raises:
        CheckpointError: naming missing, unexpected and mis-shaped keys.
    """
    own = stored_state(module)
    shared = own.keys() & state.keys()
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "mis-shaped": [
            f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
            for key in sorted(shared)
            if state[key].shape != own[key].shape
        ],
    }
    if any(wrong.values()):
        found = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in wrong.items() if keys)
        raise CheckpointError(
            f"{source} does not fit the {type(module).__name__} of its config.json. {found}. "
            "Was the file or the config changed by hand? Save the model again"
        )
    # Strictness is checked above; the call would refuse the training state that is not stored.
    module.load_state_dict(dict(state), strict=False, assign=True)


def stored_state(module: nn.Module) -> dict[str, Tensor]:
    """Tensors that decide what a model computes; the state of training generators does not."""
    return {k: v for k, v in module.state_dict().items() if not k.endswith("_extra_state")}


def _no_config(folder: Path) -> str:
    if (folder / CODEC_FILE).exists():
        return (
            f"{folder} holds a published codec ({CODEC_FILE}) and no language model: load it with "
            f"Codec.from_pretrained, or put {LM_FILE} beside it for a whole model"
        )
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:4]) or "nothing"
    return (
        f"{folder} is not a model folder: it has no config.json, nor the {LM_FILE} of a published "
        f"model (it holds {found}). Give the folder that save_pretrained or the training script "
        "wrote"
    )


def _check_format(path: Path, config: object) -> None:
    kind = config.get("format") if isinstance(config, dict) else None
    if not isinstance(config, dict) or kind not in REQUIRED:
        raise CheckpointError(
            f"{path} is not of a model saved by audiogen: its format is {kind!r} instead of "
            f"{' or '.join(map(repr, REQUIRED))}. Give another folder"
        )
    oldest = config.get("oldest_reader")
    if not isinstance(oldest, int) or oldest > VERSION:
        raise CheckpointError(
            f"{path} is of layout version {config.get('version')!r} (written by audiogen "
            f"{config.get('written_by')}), this audiogen reads up to version {VERSION}: update it"
        )
    missing = [key for key in REQUIRED[kind] if key not in config]
    if missing:
        raise CheckpointError(
            f"{path} lacks {', '.join(missing)}: it was changed by hand or cut; "
            "save the model again"
        )
    wrong = [key for key in REQUIRED[kind] if not isinstance(config[key], KINDS.get(key, dict))]
    for name, entry in {} if wrong else config["files"].items():
        if not isinstance(entry, dict) or not entry.keys() >= {"bytes", "sha256"}:
            wrong.append(f"files[{name!r}]")
    if wrong:
        raise CheckpointError(
            f"{path}: {wrong[0]} is not what was saved: was it changed by hand? "
            "Save the model again"
        )
