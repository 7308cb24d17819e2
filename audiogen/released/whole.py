"""Published folders -> whole models: language model, codec and text encoder that fit together."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from audiogen.codec.model import Codec
from audiogen.files import given_path
from audiogen.model_folder.build import build_part
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE
from audiogen.model_folder.layout import CheckpointError
from audiogen.model_folder.parts import Model, name_text, place_of_text, where_else
from audiogen.released.archive import is_archive, read_archive
from audiogen.released.facts import model_config
from audiogen.released.lm_load import LMFile, build_lm, lm_file, read_lm_file
from audiogen.released.load import load_released_codec
from audiogen.released.package import Weights, check_weights, chosen_state, is_language_model
from audiogen.text import TextEncoder, build_text_encoder


def load_released(
    path: str | Path,
    *,
    weights: Weights = "best",
    text_encoder: str | Path | None = None,
    codec: str | Path | None = None,
) -> Codec | Model:
    """Read what was published: a codec, or a whole model; on the CPU, in eval mode, float32.

    Args:
        path: ``compression_state_dict.bin``, or a folder with nothing else of a model, for the
            codec; ``state_dict.bin``, or the folder that holds both, for the whole model. A
            training checkpoint is what it was the training of.
        weights: of a training checkpoint, which it has several sets of: the "best" (averaged, if
            it was trained so), the moving average "ema", or the "last".
        text_encoder: where the T5 encoder of a whole model is read from, instead of the name in
            the file; relative names are first looked for beside the file.
        codec: where the codec of a whole model is read from, if not beside the file.

    Raises:
        FileNotFoundError: if a file is missing.
        CheckpointError: if one is damaged, hostile or of another model: every missing, unexpected
            and mis-shaped key is listed, every setting that is not known named with its value.
        TextEncoderError: if the T5 encoder cannot be read.
    """
    check_weights(weights)
    place = given_path(path)
    if not is_whole(place):
        return load_released_codec(place, weights=weights)
    file = read_lm_file(place, weights)
    return load_whole(file, text_encoder=text_encoder, codec=codec)


def is_whole(path: Path) -> bool:
    """Tell whether a path names a language model, alone or with its codec beside it."""
    if path.is_dir() and (path / LM_FILE).is_file():
        return True
    if path.is_dir() and (path / CODEC_FILE).is_file():
        return False
    file = lm_file(path)
    if file is None or not is_archive(file):
        return False
    package = read_archive(file)
    if "pretrained" in package or "xp.cfg" not in package:
        return False
    return is_language_model(chosen_state(package, "best", file))


def load_whole(
    file: LMFile,
    *,
    text_encoder: str | Path | None = None,
    codec: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    text: TextEncoder | None = None,
) -> Model:
    """Build the model of a file of a language model; arguments and errors as of `load_released`.

    ``dtype`` and ``device`` are the language model's; the rest is float32 on the CPU. ``text`` is
    used instead of the encoder that the file names.
    """
    found = load_fitting_codec(file, codec)  # the quick one first: it may be the wrong one
    text = load_text(file, text_encoder) if text is None else text
    lm = build_lm(file, dtype=dtype, device=device)
    return Model(
        text=text,
        lm=lm,
        codec=found,
        max_duration=file.config.max_duration,
        config=model_config(file),
    )


def load_fitting_codec(file: LMFile, source: str | Path | None) -> Codec:
    """Read the codec that a language model goes with, and set its codebooks in use.

    Raises:
        FileNotFoundError: if there is none.
        CheckpointError: naming all in which it is another codec than the one trained with.
    """
    place = file.path.parent / CODEC_FILE if source is None else given_path(source)
    if source is None and not place.is_file():
        raise FileNotFoundError(
            f"{file.path} has no {CODEC_FILE} beside it, and without its codec a language model "
            "makes no sound: copy that file there, or name it by codec="
            " (audiogen.released.load_language_model reads the language model alone)"
        )
    codec = load_released_codec(place)
    wanted, keywords = file.config, file.config.keywords
    active = wanted.codec_codebooks or codec.num_codebooks
    pairs: dict[str, tuple[Any, Any]] = {
        "codebooks": (keywords["num_codebooks"], min(active, codec.total_codebooks)),
        "codes per codebook": (keywords["codebook_size"], codec.codebook_size),
        "Hz": (wanted.sample_rate, codec.sample_rate),
        "channel(s)": (wanted.channels, codec.channels),
    }
    if wanted.codec_hash is not None:
        pairs["as its hash"] = (wanted.codec_hash[:12], codec.fingerprint()[:12])
    wrong = [f"{a} {unit}, not {b}" for unit, (a, b) in pairs.items() if a != b]
    if wrong:
        raise CheckpointError(
            f"{place} is not the codec of {file.path}, which was trained with {'; '.join(wrong)}: "
            "the two files are of two models, get both again from one place"
        )
    codec.set_num_codebooks(keywords["num_codebooks"])
    return codec


def load_text(file: LMFile, override: str | Path | None) -> TextEncoder:
    """Read the T5 encoder that a language model names.

    Raises:
        TextEncoderError: if it cannot be read.
        CheckpointError: if its states have another width.
    """
    name = str(file.config.text["name"])
    place = place_of_text(name, file.path.parent, override)
    config = {"_type": "t5", **file.config.text, "name": place}
    try:
        text = build_part(build_text_encoder, {"config": config}, file.path, said_in="xp.cfg")
    except OSError as error:
        raise where_else(error, file.path, name) from error
    width = file.keywords["text_dim"]
    if text.dim != width:
        raise CheckpointError(
            f"{file.path} reads text states of width {width}, and the T5 encoder {place} gives "
            f"{text.dim}: take the one it was trained with, {name!r}"
        )
    name_text(text, [name], file.path.parent)
    if isinstance(text, nn.Module):
        text.eval()
    return text
