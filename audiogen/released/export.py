"""`Codec` and whole models -> the published layout."""

import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.files import given_path, replacing
from audiogen.lm.model import TokenLM
from audiogen.model_folder.certificate import CERTIFICATE, certificate_of
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE, PUBLISHED_FILES
from audiogen.model_folder.layout import CheckpointError
from audiogen.model_folder.parts import text_beside
from audiogen.model_folder.replace import replace_folder
from audiogen.model_folder.write import Check
from audiogen.released.codec_config import write_codec_config
from audiogen.released.lm_names import published_places
from audiogen.released.lm_write import check_text, write_lm_config
from audiogen.released.names import published_names
from audiogen.released.strict import is_finite
from audiogen.released.xp_cfg import dump
from audiogen.text import TextEncoder
from audiogen.text.folders import copy_encoder


class Parts(Protocol):
    """What is written of a model; `audiogen.AudioGen` and what `load_released` gives have it."""

    @property
    def text(self) -> TextEncoder:
        """Captions to states."""

    @property
    def lm(self) -> TokenLM:
        """Text and codes to codes."""

    @property
    def codec(self) -> Codec:
        """Codes to sound."""

    @property
    def max_duration(self) -> float:
        """Seconds, the longest window the language model was trained on."""


def export_released(
    model: Codec | Parts,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    card: Mapping[str, object] | None = None,
    check: Check | None = None,
) -> Path:
    """Write a codec or a whole model as others publish and read theirs, whole or not at all.

    `load_released` gives it back with every keyword and every bit. What only our training knows,
    the state of a generator and the number of restarts, has no place in the layout.

    Args:
        model: a codec; or the parts of a whole model, whose text encoder is a T5. A T5 in a folder
            of this disk is written beside the model. Nothing is changed.
        path: of a codec a file ending in .bin, or a folder for ``compression_state_dict.bin``; of
            a whole model a folder that is new, empty, or holds one in this layout.
        dtype: of the language model, or of a codec written alone. None keeps the language model's;
            float16 is what is published. Readers widen it. Codecs are float32 unless told.
        card: what is known of a whole model: licence, training data; None is its own card.
        check: called with what is written before it takes its place; if it raises, nothing is.

    Returns:
        The file of a codec, the folder of a model.

    Raises:
        ValueError: if the layout has no words for a part of the model, a weight is not finite in
            ``dtype``, or the folder holds something else.
    """
    path = given_path(path)
    if not isinstance(model, Codec):
        return _export_model(model, path, dtype, card_of_parts(model, card), check)
    file = path if path.suffix == ".bin" and not path.is_dir() else path / CODEC_FILE
    with replacing(file) as temporary:
        _save(codec_package(model, dtype or torch.float32), temporary)
        if check is not None:
            check(temporary)
        certificate_of(file).unlink(missing_ok=True)  # of what lies there no more
    if check is not None:
        certificate_of(temporary).replace(certificate_of(file))
    return file


def codec_package(codec: Codec, dtype: torch.dtype) -> dict[str, Any]:
    """Return what is written of a codec."""
    own = codec.state_dict()
    tensors = {name: own[ours] for name, ours in published_names(codec).items()}
    return _package(tensors, write_codec_config(codec), dtype)


def _export_model(
    model: Parts,
    folder: Path,
    dtype: torch.dtype | None,
    card: Mapping[str, object],
    check: Check | None,
) -> Path:
    name = check_text(model.text, model.lm)
    _check_target(folder)
    own = model.lm.state_dict()
    places = published_places(model.lm)
    tensors = {theirs: place.of(own[place.name]) for theirs, place in places.items()}
    config = write_lm_config(
        model.lm, model.codec, model.text, max_duration=model.max_duration, card=card
    )
    package = _package(tensors, config, dtype or model.lm.head.weight.dtype)
    own_place = Path(name).expanduser()
    beside = text_beside(model.text) or ({own_place.name: own_place} if own_place.is_dir() else {})
    owned = (*PUBLISHED_FILES, CERTIFICATE, *(Path(target).parts[0] for target in beside))
    with replace_folder(folder, owned=owned) as staging:
        for target, source in beside.items():
            copy_encoder(source, staging / target)
        _save(package, staging / LM_FILE)
        _save(codec_package(model.codec, torch.float32), staging / CODEC_FILE)
        if check is not None:
            check(staging)
    return folder


def _package(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype
) -> dict[str, Any]:
    state = {
        name: value.detach().to("cpu", dtype).contiguous().clone()
        for name, value in tensors.items()
    }
    wrong = [name for name, value in state.items() if not is_finite(value)]
    if wrong:
        raise ValueError(
            f"{', '.join(wrong[:3])} is not finite in {dtype}: check the weights, or write them "
            "in float32 or bfloat16"
        )
    return {
        "best_state": state,
        "xp.cfg": dump(config),
        "version": f"audiogen {version('audiogen')}",
        "exported": True,
    }


def _save(package: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as stream:
        torch.save(dict(package), stream)
        stream.flush()
        os.fsync(stream.fileno())


def card_of_parts(model: object, card: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return the card given, or the model's own."""
    config = getattr(model, "config", None) or {}
    return card or getattr(model, "card", None) or config.get("card") or {}


def _check_target(folder: Path) -> None:
    """Refuse to write beside files that are not of this layout."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    there = [name for name in PUBLISHED_FILES if (folder / name).is_file()]
    if not there or (folder / "config.json").exists():
        raise CheckpointError(
            f"will not write a published model into {folder}, which holds something else: give a "
            "new or empty folder"
        )
