"""What a published file or a folder of transformers holds, without building it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from audiogen.released.archive import read_archive
from audiogen.released.codec_config import read_codec_config
from audiogen.released.load import (
    chosen_state,
    is_language_model,
    is_training_checkpoint,
    read_config,
    released_file,
)
from audiogen.released.transformers_folder import read_encodec_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What is known without building the model."""

    format: str  # in words
    codec: Mapping[str, Any] | None  # keywords of `Codec`; None if it holds none
    tensors: Mapping[str, Tensor]  # under their names in the file


def describe(path: Path) -> Description:
    """Describe a published file, the folder that holds it, or a folder of transformers.

    Raises:
        FileNotFoundError: if a file is missing.
        CheckpointError: if it is none of these, or damaged.
    """
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
    author = (
        f"by AudioCraft {package['version']}" if "version" in package else "of an unnamed author"
    )
    if str(package.get("version")).startswith("audiogen "):
        author = f"by {package['version']}"
    if is_language_model(state):
        return Description(format=f"published language model, {author}", codec=None, tensors=state)
    kind = "published codec, " + author
    if is_training_checkpoint(package):
        kind = f"training checkpoint of a codec, {len(package.get('history') or [])} epochs"
    return Description(format=kind, codec=read_codec_config(cfg), tensors=state)
