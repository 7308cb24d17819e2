"""What a published file or a folder of transformers holds, without building it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from audiogen.model_folder.hub import CODEC_FILE
from audiogen.released.archive import read_archive
from audiogen.released.codec_config import read_codec_config
from audiogen.released.facts import author_of
from audiogen.released.lm_load import LMFile, read_lm_file
from audiogen.released.load import released_file
from audiogen.released.package import chosen_state, is_training_checkpoint, read_config
from audiogen.released.transformers_folder import read_encodec_folder
from audiogen.released.whole import is_whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What is known without building the model."""

    format: str  # in words
    codec: Mapping[str, Any] | None  # keywords of `Codec`; None if it holds none
    tensors: Mapping[str, Tensor]  # under their names in the file
    lm: LMFile | None = None  # of a language model; its tensors are above, not those of a codec


def describe(path: Path) -> Description:
    """Describe a published file, the folder that holds it, or a folder of transformers.

    Raises:
        FileNotFoundError: if a file is missing.
        CheckpointError: if it is none of these, or damaged.
    """
    if is_whole(path):
        return _describe_lm(path)
    file = released_file(path)
    if file is None:
        keywords, tensors = read_encodec_folder(path)
        return Description(format="EncodecModel of transformers", codec=keywords, tensors=tensors)
    package = read_archive(file)
    if "pretrained" in package:
        words = f"stands for the codec {package['pretrained']!r}"
        return Description(format=words, codec=None, tensors={})
    cfg = read_config(package, file)
    state = chosen_state(package, "best", file)
    kind = f"published codec, {author_of(package.get('version'))}"
    if is_training_checkpoint(package):
        kind = f"training checkpoint of a codec, {_epochs(package)}"
    return Description(format=kind, codec=read_codec_config(cfg), tensors=state)


def _describe_lm(path: Path) -> Description:
    file = read_lm_file(path)
    author = author_of(file.package.get("version"))
    beside = file.path.parent / CODEC_FILE
    if is_training_checkpoint(file.package):
        kind = f"training checkpoint of a language model, {_epochs(file.package)}"
    elif path.is_dir() and beside.is_file():
        kind = f"published model, {author}"
    else:
        kind = f"published language model, {author}"
    codec = describe(beside).codec if path.is_dir() and beside.is_file() else None
    return Description(format=kind, codec=codec, tensors=file.state, lm=file)


def _epochs(package: Mapping[str, Any]) -> str:
    return f"{len(package.get('history') or [])} epochs"
