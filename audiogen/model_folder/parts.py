"""The parts of a whole model, however it was stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.text import TextEncoder, placed
from audiogen.text.pretrained import PretrainedEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The parts of a loaded model."""

    text: TextEncoder
    lm: TokenLM
    codec: Codec
    max_duration: float  # seconds; the longest window the language model was trained on
    config: Mapping[str, Any]  # config.json as read, or its like of a published model


def place_of_text(name: str, folder: Path, override: str | Path | None) -> str:
    """Return where a text encoder is read from: a folder on this disk or a hub id.

    Args:
        name: what the model calls it; a relative one is first looked for inside ``folder``.
        folder: of the model.
        override: goes before ``name``, and is looked for in the same way.
    """
    wanted = str(override or name)
    inside = folder / wanted
    return str(inside) if inside.is_dir() else wanted


def outside_encoders(text: TextEncoder) -> list[PretrainedEncoder]:
    """Return the pretrained encoders that make a text encoder, in the order of its config."""
    modules = text.modules() if isinstance(text, nn.Module) else ()
    return [module for module in modules if isinstance(module, PretrainedEncoder)]


def name_text(text: TextEncoder, names: Sequence[str], folder: Path) -> None:
    """Let a text encoder go by the names that its model says, and not by places on this disk.

    Args:
        text: read from where `place_of_text` said.
        names: of its outside encoders.
        folder: of the model; what lies in there under a relative name is saved with the model.
    """
    left = iter(names)
    text.config = placed(text.config, lambda _: next(left))
    for encoder, name in zip(outside_encoders(text), names, strict=True):
        inside = Path(encoder.name).is_dir() and Path(encoder.name).is_relative_to(folder)
        encoder.config = {**encoder.config, "name": name}
        encoder.beside = inside and not Path(name).is_absolute() and ".." not in Path(name).parts


def text_beside(text: TextEncoder) -> dict[str, Path]:
    """Return the folders of the encoders that lay in the folder of their model, by their names."""
    encoders = [encoder for encoder in outside_encoders(text) if encoder.beside]
    return {str(encoder.config["name"]): Path(encoder.name).resolve() for encoder in encoders}


def where_else(error: OSError, said_by: Path, name: str) -> OSError:
    """Return the error of a text encoder that cannot be read, with what to do."""
    return type(error)(
        f"{error}. {said_by} names {name!r}: put a folder of that name beside it, or name "
        "another place by text_encoder="
    )
