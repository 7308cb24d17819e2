"""A model in memory, or of any folder, in any of the layouts that are written."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from audiogen.certificate import FRAMES, certified
from audiogen.checkpoint import (
    find_folder,
    is_ours,
    load_codec,
    load_model,
    read_model_config,
    save_codec,
    save_model,
)
from audiogen.codec.model import Codec
from audiogen.model_folder.hub import HUB_ID
from audiogen.model_folder.parts import Model
from audiogen.model_folder.write import Check
from audiogen.released import export_released, export_transformers
from audiogen.released.whole import is_whole
from audiogen.training.launch import RunError

log = logging.getLogger(__name__)

LAYOUTS = ("folder", "released", "transformers")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def check_layout(layout: str) -> None:
    """Refuse an unknown layout.

    Raises:
        RunError: naming those that are known.
    """
    if layout not in LAYOUTS:
        raise RunError(f"format must be one of {', '.join(LAYOUTS)}; got {layout!r}")


def chosen_dtype(layout: str, dtype: str | None) -> torch.dtype | None:
    """Return the dtype of a name; a folder of ours keeps what the weights have.

    Raises:
        RunError: if it is unknown, or means nothing for the layout.
    """
    if dtype is None:
        return None
    if dtype not in DTYPES:
        raise RunError(f"dtype must be one of {', '.join(DTYPES)}, or null; got {dtype!r}")
    if layout == "folder":
        raise RunError(f"dtype={dtype} is for format=released and transformers: leave it out")
    return DTYPES[dtype]


def write_model(
    model: Codec | Model,
    out: Path,
    *,
    layout: str,
    dtype: torch.dtype | None = None,
    card: Mapping[str, object] | None = None,
    check: Check | None = None,
) -> None:
    """Write a codec or a whole model, by whichever of `LAYOUTS`.

    Raises:
        ValueError: if the layout has no words for it, or ``out`` holds something else.
    """
    if layout == "released":
        export_released(model, out, dtype=dtype, card=card, check=check)
    elif layout == "transformers" and isinstance(model, Codec):
        raise RunError("MusicGen of transformers is a whole model, and this is a codec alone")
    elif layout == "transformers" and isinstance(model, Model):
        export_transformers(model, out, dtype=dtype, card=card, check=check)
    elif isinstance(model, Codec):
        save_codec(model, out, card=card, check=check)
    else:
        save_model(
            out,
            text=model.text,
            lm=model.lm,
            codec=model.codec,
            max_duration=model.max_duration,
            card=card,
            check=check,
        )


def export_model(
    source: str,
    out: str | Path,
    *,
    layout: str = "folder",
    dtype: str | None = None,
    text_encoder: str | None = None,
    certificate: bool = True,
    frames: int = FRAMES,
) -> None:
    """Write a model that is there, ours, published or of the hub, in another layout.

    Its card goes along, and with it the licence.

    Args:
        source: a folder or a hub id; the folder of a codec alone too.
        out: as in `write_model`.
        layout: of `LAYOUTS`.
        dtype: as in `audiogen.training.export.export_module`.
        text_encoder: where its T5 is read from, if not where it says.
        certificate: read what is written again and compare; see `audiogen.certificate`.
        frames: generated for that, of each prompt.

    Raises:
        RunError: if the layout or the dtype is unknown.
        ValueError: as `audiogen.checkpoint.load_model` and `write_model` do.
    """
    check_layout(layout)
    chosen = chosen_dtype(layout, dtype)
    folder = find_folder(source)
    model: Codec | Model
    if is_ours(folder) and read_model_config(folder)["format"] == "audiogen-codec":
        model, card = load_codec(folder), read_model_config(folder)["card"]
    elif not is_ours(folder) and not is_whole(folder):
        model, card = load_codec(folder), {}
    else:
        model = load_model(folder, text_encoder=text_encoder)
        card = model.config["card"]
    if HUB_ID.fullmatch(source) and not Path(source).exists():
        card = {**card, "made_from": source}
    check = certified(model, layout=layout, dtype=chosen, frames=frames) if certificate else None
    write_model(model, Path(out), layout=layout, dtype=chosen, card=card, check=check)
    log.info("%s is written, from %s", out, source)
