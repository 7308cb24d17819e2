"""The parts of a whole model, however it was stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.text import TextEncoder


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
