"""Folders of `transformers.MusicgenForConditionalGeneration` -> whole models with equal codes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogen.codec.model import Codec
from audiogen.codec.settings import frame_rate_of
from audiogen.lm.model import TokenLM
from audiogen.model_folder.build import build_on_meta, build_part
from audiogen.model_folder.card import check_card
from audiogen.model_folder.known import sha256_of
from audiogen.model_folder.layout import CheckpointError
from audiogen.model_folder.parts import Model, name_text
from audiogen.released.musicgen_names import CODEC, TEXT, lm_places
from audiogen.released.names import check_counts, load_named, transformers_names
from audiogen.released.strict import check_finite, check_tensors
from audiogen.released.transformers_folder import (
    OTHERS,
    encodec_keywords,
    read_json,
    read_tensors,
    tensor_file,
)
from audiogen.text.t5 import T5Encoder

MUSICGEN = "musicgen"  # its model_type
WHAT = "language model"
KEYS = {  # of its decoder -> keyword of `TokenLM`
    "num_codebooks": "num_codebooks",
    "vocab_size": "codebook_size",
    "hidden_size": "dim",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "activation_function": "activation",
    "dropout": "dropout",
}
ONLY = {"audio_channels": 1, "scale_embedding": False, "cross_attention_hidden_size": None}
DEFAULT_STEPS = 1500  # of the models of this kind that were published
LICENCE = re.compile(r"\A---\n(?:.*\n)*?license: *(\S+)\n(?:.*\n)*?---\n")
STATED = re.compile(r"^## Licence\n\n(.+)$", re.MULTILINE)


def is_musicgen_folder(path: Path) -> bool:
    """Tell whether a folder holds a `MusicgenForConditionalGeneration`."""
    try:
        return read_json(path).get("model_type") == MUSICGEN
    except (OSError, CheckpointError):
        return False


def load_musicgen_folder(
    folder: Path,
    *,
    text_encoder: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Model:
    """Read a whole model of transformers, in eval mode; ``dtype`` is the language model's.

    Raises:
        FileNotFoundError: if its tensors are missing.
        CheckpointError: if it is damaged, does not fit, or computes what is not known here.
        TextEncoderError: if its T5 cannot be read.
    """
    config, state = read_json(folder), _state(folder)
    codec = _codec(folder, config, state)
    lm = _lm(folder, config, state).to(device=device, dtype=dtype)
    codec.set_num_codebooks(min(lm.num_codebooks, codec.total_codebooks))
    text = T5Encoder(name=str(text_encoder or folder), max_tokens=None)
    if text_encoder is None:
        name_text(text, ["t5"], folder)
    facts = musicgen_facts(folder)
    return Model(
        text=text, lm=lm.eval(), codec=codec, max_duration=facts["max_duration"], config=facts
    )


def musicgen_facts(folder: Path) -> dict[str, Any]:
    """Return the like of our config.json, without building the model; raises as its loader does."""
    config = read_json(folder)
    codec = encodec_keywords({**OTHERS, **_section(config, "audio_encoder", folder)}, folder)
    lm = _lm_keywords(folder, config)
    return {
        "format": MUSICGEN,
        "codec": codec,
        "lm": lm,
        "text": {"_type": "t5", "name": "t5", "max_tokens": None, "lowercase": False},
        "max_duration": _window(folder, lm["num_codebooks"]) / frame_rate_of(codec),
        "card": _card(folder),
    }


def hashed_facts(folder: Path) -> dict[str, Any]:
    """Return `musicgen_facts` with size and sha256 of each file of tensors."""
    files = sorted(folder.glob("*.safetensors"))
    entries = {f.name: {"bytes": f.stat().st_size, "sha256": sha256_of(f)} for f in files}
    return {**musicgen_facts(folder), "files": entries}


def load_musicgen_codec(folder: Path) -> Codec:
    """Read the codec of such a folder, in eval mode; raises as `load_musicgen_folder` does."""
    return _codec(folder, read_json(folder), _state(folder))


def _codec(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Codec:
    keywords = encodec_keywords({**OTHERS, **_section(config, "audio_encoder", folder)}, folder)
    own = _inside(state, CODEC)
    check_counts(keywords, own, source=folder)
    codec = build_part(Codec, keywords, folder / "config.json", said_in="config.json")
    load_named(codec, own, transformers_names(codec), source=folder)
    return codec.eval()


def _lm(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> TokenLM:
    keywords = _lm_keywords(folder, config)
    lm = build_on_meta(TokenLM, keywords, folder / "config.json", said_in="config.json")
    own, places = lm.state_dict(), lm_places(lm)
    shapes = {theirs: place.of(own[place.name]).shape for theirs, place in places.items()}
    given = {name: value for name, value in state.items() if not name.startswith((CODEC, TEXT))}
    check_tensors(given, shapes, source=folder, what=WHAT)
    tensors = {name: torch.empty(value.shape) for name, value in own.items()}
    if keywords["text_dim"] == lm.dim:  # there is no projection then
        nn.init.eye_(tensors["text_projection.weight"])
        tensors["text_projection.bias"].zero_()
    filled = {theirs: place.of(tensors[place.name]) for theirs, place in places.items()}
    for theirs, target in filled.items():
        target.copy_(given[theirs])
    check_finite(filled, source=folder, what=WHAT)
    lm.load_state_dict(tensors, assign=True)
    return lm


def _lm_keywords(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    decoder = _section(config, "decoder", folder)
    wrong = [f"{k} {decoder[k]!r}" for k, v in ONLY.items() if decoder.get(k, v) != v]
    missing = [key for key in (*KEYS, "ffn_dim") if key not in decoder]
    width = _section(config, "text_encoder", folder).get("d_model")
    if wrong or missing or not isinstance(width, int):
        raise CheckpointError(
            f"{folder}/config.json describes a decoder that is not known here: "
            f"{', '.join(wrong) or 'it lacks ' + ', '.join(missing or ['text_encoder.d_model'])}"
        )
    keywords = {ours: decoder[theirs] for theirs, ours in KEYS.items()}
    try:
        delays = list(range(keywords["num_codebooks"]))
        scale = decoder["ffn_dim"] / keywords["dim"]
    except (TypeError, ArithmeticError) as error:
        raise CheckpointError(f"{folder}/config.json: {error}: was it changed by hand?") from error
    return keywords | {"text_dim": width, "delays": delays, "hidden_scale": scale}


def _section(config: Mapping[str, Any], key: str, folder: Path) -> Mapping[str, Any]:
    found = config.get(key)
    if not isinstance(found, dict):
        raise CheckpointError(f"{folder}/config.json has no {key}: copy the folder again")
    return found


def _state(folder: Path) -> dict[str, Tensor]:
    """Read all tensors, of one file or of several."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return read_tensors(tensor_file(folder))
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is damaged: copy the folder again") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: copy it again")
    return {k: v for name in names for k, v in read_tensors(folder / name).items()}


def _inside(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    cut = len(prefix)
    return {name[cut:]: value for name, value in state.items() if name.startswith(prefix)}


def _window(folder: Path, codebooks: int) -> int:
    """Return the frames of the longest sound it is meant to make."""
    try:
        values = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        steps = int(values.get("max_length", DEFAULT_STEPS))
    except (OSError, ValueError, TypeError, AttributeError):
        steps = DEFAULT_STEPS
    return max(1, steps - codebooks)


def _card(folder: Path) -> dict[str, object]:
    """Return what its model card says of the licence."""
    file = folder / "README.md"
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    found = STATED.search(text)
    header = LICENCE.search(text)
    if found is not None:
        return check_card({"licence": found.group(1)})
    return check_card({"licence": header.group(1).upper()} if header is not None else None)
