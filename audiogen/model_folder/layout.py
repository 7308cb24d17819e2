"""The layout of our model folder: config.json, tensor files, a model card.

config.json holds the format, its version, the constructor arguments of every part, the card, and
size and sha256 of each tensor file. Files are safetensors: nothing in a folder can run code. With
``stored_as`` "float16" their weights take half the bytes and are read as the float32 they were.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from audiogen.model_folder.card import check_card, render_card
from audiogen.model_folder.half import halved
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE
from audiogen.model_folder.replace import replace_folder
from audiogen.text.folders import copy_encoder

VERSION = 2  # raised with every change of the layout
OLDEST_READER = 1  # the oldest VERSION whose reader still understands what is written here
OLDEST_HALF_READER = 2  # likewise of a folder with ``stored_as``
CODEC_KEYS = ("codec", "codec_hash", "card", "files")
REQUIRED = {  # by format
    "audiogen-codec": CODEC_KEYS,
    "audiogen-model": (*CODEC_KEYS, "lm", "text", "max_duration"),
}
KINDS = {"codec_hash": str, "max_duration": int | float}  # the other keys hold objects
OWN_FILES = (
    "config.json",
    "README.md",
    "certificate.json",
    "codec.safetensors",
    "lm.safetensors",
    "text.safetensors",
)


Check = Callable[[Path], Mapping[str, object]]  # an export -> facts; see `write_folder`


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


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file that others may read as far as the umask lets them.

    Left to itself, safetensors makes its files readable by their owner alone.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(tensors), path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        if "os error 28" in str(error):  # its own class says so in words alone
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    path.chmod(mode)


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
        name for name, entry in config["files"].items() if _sha256(folder / name) != entry["sha256"]
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
    own = _state(module)
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


def write_folder(
    folder: Path,
    config: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    *,
    card: Mapping[str, object] | None,
    facts: Mapping[str, object],
    folders: Mapping[str, Path] | None = None,
    half: bool = False,
    check: Check | None = None,
) -> Path:
    """Write a model folder, whole or not at all; other files of an older one are kept.

    Args:
        folder: new, empty, or a model folder.
        config: ``format`` and what it requires, less ``card`` and ``files``.
        modules: file name -> the part whose tensors it holds.
        card: see `audiogen.model_folder.card.check_card`.
        facts: see `audiogen.model_folder.card.render_card`.
        folders: relative name -> a text encoder's folder, which is copied there.
        half: store float32 weights as float16, which all of them must have the values of.
        check: called with the folder once it can be read, before it takes its place; it returns
            further facts, and if it raises, nothing is written.

    Raises:
        ValueError: if ``folder`` holds something that is not a model, or ``half`` would change a
            weight.
    """
    check_target(folder)
    card = check_card(card)
    header = {
        "format": config["format"],
        "version": VERSION,
        "oldest_reader": OLDEST_HALF_READER if half else OLDEST_READER,
        "written_by": version("audiogen"),
    }
    stored_as = {"stored_as": "float16"} if half else {}
    files: dict[str, dict[str, Any]] = {}
    folders = folders or {}
    owned = (*OWN_FILES, *(Path(name).parts[0] for name in folders))
    with replace_folder(folder, owned=owned) as staging:
        for name, source in folders.items():
            copy_encoder(source, staging / name)
        for name, module in modules.items():
            path = staging / name
            tensors = _storable(module)
            write_tensors(halved(tensors) if half else tensors, path, {"format": "pt"})
            files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        filled = {**header, **stored_as, **config, "card": card, "files": files}
        text = json.dumps(filled, indent=2, ensure_ascii=False)
        (staging / "config.json").write_text(text + "\n", encoding="utf-8")
        checked = {} if check is None else check(staging)
        readme = render_card(card, {**facts, **checked}, kind=config["format"])
        (staging / "README.md").write_text(readme, encoding="utf-8")
    return folder


def check_target(folder: Path) -> None:
    """Refuse to replace anything but nothing, an empty folder or a model."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        read_config(folder)
    except CheckpointError as error:
        if any((folder / name).is_file() for name in (LM_FILE, CODEC_FILE)):
            raise CheckpointError(
                f"will not write a model over {folder}, which holds one in the published layout: "
                "give a new folder"
            ) from error
        raise CheckpointError(
            f"will not write a model over {folder}, which is not a model folder: "
            "give a new or empty folder"
        ) from error


def _state(module: nn.Module) -> dict[str, Tensor]:
    """Tensors that decide what a model computes; the state of training generators does not."""
    return {k: v for k, v in module.state_dict().items() if not k.endswith("_extra_state")}


def _storable(module: nn.Module) -> dict[str, Tensor]:
    """On the CPU, contiguous, and none sharing memory with another: what safetensors takes."""
    return {name: value.detach().cpu().clone() for name, value in _state(module).items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
