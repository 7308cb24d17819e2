"""Folders and hub ids of pretrained text encoders: found, checked, named by their content."""

import json
import re
import shutil
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from audiogen.files import file_hash

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
WEIGHTS = ("*.safetensors", "*.bin")
FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json"),
    *("*token*", "*.model", "vocab.json", "merges.txt"),
)
TOKENIZERS = ("tokenizer.json", "vocab.json")
SENTENCEPIECE = ("spiece.model", "tokenizer.model")  # another package reads these
ANSWER = 10.0  # seconds that the hub has to say whether it knows a name
BLOB = re.compile(r"[0-9a-f]{64}")  # the hub's cache names large files by their sha256


INSIDE = "text_encoder"  # of a MusicGen of transformers, its T5: a section, and a prefix


class TextEncoderError(OSError):
    """A pretrained text encoder could not be read: what, from where, and what to do."""


def find_folder(name: str, *, kind: str, example: str) -> Path:
    """Return the folder of a path or hub id; what the hub's cache holds whole is not asked for."""
    folder = here(name, kind=kind, example=example)
    if folder is not None:
        return folder
    from huggingface_hub import HfApi, constants, errors, snapshot_download  # here: it is slow

    try:
        if not constants.HF_HUB_OFFLINE:  # a download asks on for minutes where nobody answers
            HfApi().model_info(name, timeout=ANSWER)
        found = Path(snapshot_download(name, allow_patterns=list(FILES)))
        if lacks(found):  # an old upload has pickled weights; transformers unpickles tensors only
            found = Path(snapshot_download(name, allow_patterns=[*FILES, "*.bin"]))
    except (OSError, ValueError, errors.HTTPError) as error:
        raise not_delivered(name, kind, first_line(error)) from error
    missing = lacks(found)
    if missing:
        raise not_delivered(name, kind, f"of what it gave, {missing}")
    return found


def here(name: str, *, kind: str, example: str) -> Path | None:
    """Return the folder of a path, or of a hub id that the hub's cache holds whole; or None."""
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not HUB_ID.fullmatch(name):
        raise TextEncoderError(
            f"no {kind} at {name}: there is no such folder. Give a folder written by "
            f"save_pretrained, or a hub id such as {example}"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(name, allow_patterns=list(FILES), local_files_only=True)
    except (OSError, ValueError):
        return None
    return None if lacks(Path(folder)) else Path(folder)


def lacks(folder: Path) -> str | None:
    """Return what a folder lacks to be read; None if nothing.

    Without a tokenizer's file transformers would make up an empty one.
    """
    if not (folder / "config.json").is_file():
        return "it has no config.json"
    if not any((folder / name).is_file() for name in TOKENIZERS):
        if not any((folder / name).is_file() for name in SENTENCEPIECE):
            return "it has no tokenizer"
        if find_spec("sentencepiece") is None:
            return "its tokenizer is a spiece.model alone, which needs pip install sentencepiece"
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        found = any(any(folder.glob(pattern)) for pattern in WEIGHTS)
        return None if found else "it has no model.safetensors"
    try:
        listed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(file for file in listed if not (folder / file).is_file())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{index.name} is damaged"
    return f"{len(missing)} of {len(listed)} files of weights are missing" if missing else None


def copy_encoder(source: Path, target: Path) -> None:
    """Copy the files that an encoder is read from into a new folder."""
    target.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if isinstance(config.get(INSIDE), dict):
        _copy_from_inside(source, target, config[INSIDE])
        return
    pickled = () if any(source.glob("*.safetensors")) else ("*.bin",)
    for name in {file.name for pattern in (*FILES, *pickled) for file in source.glob(pattern)}:
        shutil.copyfile(source / name, target / name)


def _copy_from_inside(source: Path, target: Path, config: dict[str, object]) -> None:
    """Write the T5 that is a part of a MusicGen of transformers as a folder of its own."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(f"{INSIDE}.")]  # noqa: SIM118
            tensors |= {name.removeprefix(f"{INSIDE}."): file.get_tensor(name) for name in names}
    weights = target / "model.safetensors"
    weights.touch()
    mode = weights.stat().st_mode  # left to itself, save_file lets the owner alone read
    save_file(tensors, weights, {"format": "pt"})
    weights.chmod(mode)
    text = json.dumps({**config, "architectures": ["T5EncoderModel"]}, indent=2)
    (target / "config.json").write_text(text + "\n", encoding="utf-8")
    for file in (*source.glob("*token*"), *source.glob("*.model")):
        shutil.copyfile(file, target / file.name)


def content_of(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that an encoder is read from, by name."""
    patterns = (*FILES, *WEIGHTS)
    files = [f for f in sorted(folder.iterdir()) if any(fnmatch(f.name, p) for p in patterns)]
    return {file.name: _sha256(file) for file in files if file.is_file()}


def _sha256(file: Path) -> str:
    blob = file.resolve().name
    if BLOB.fullmatch(blob):
        return blob
    return file_hash(file)


def unreadable(folder: Path, kind: str, reason: str) -> TextEncoderError:
    """Return the error of a folder that is not what it should be."""
    return TextEncoderError(
        f"no {kind} can be read from {folder}: {reason}. Expected what save_pretrained writes: "
        f"config.json, model.safetensors and tokenizer.json"
    )


def not_delivered(name: str, kind: str, reason: str) -> TextEncoderError:
    """Return the error of a hub id that nobody answers to."""
    return TextEncoderError(
        f"no {kind} {name!r}: there is no such folder here, and the Hugging Face hub did not "
        f"deliver it: {reason}. Check the spelling and the network, or download it on another "
        f"machine and give the folder instead"
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without its full stop."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
