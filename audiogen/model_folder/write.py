"""Writing a model folder: whole or not at all, whatever ends the process."""

import errno
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from audiogen.files import file_hash
from audiogen.model_folder.card import check_card, render_card
from audiogen.model_folder.half import halved
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE
from audiogen.model_folder.layout import (
    VERSION,
    CheckpointError,
    read_config,
    stored_state,
)
from audiogen.model_folder.replace import replace_folder
from audiogen.text.folders import copy_encoder

OLDEST_READER = 1  # the oldest VERSION whose reader still understands what is written here
OLDEST_HALF_READER = 2  # likewise of a folder with ``stored_as``
OWN_FILES = (
    "config.json",
    "README.md",
    "certificate.json",
    "codec.safetensors",
    "lm.safetensors",
    "text.safetensors",
)

Check = Callable[[Path], Mapping[str, object]]  # an export -> facts; see `write_folder`


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
            files[name] = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
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


def _storable(module: nn.Module) -> dict[str, Tensor]:
    """On the CPU, contiguous, and none sharing memory with another: what safetensors takes."""
    return {name: value.detach().cpu().clone() for name, value in stored_state(module).items()}
