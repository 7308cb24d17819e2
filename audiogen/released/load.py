"""Published codecs and training checkpoints of them -> `Codec`."""

from contextlib import suppress
from pathlib import Path

from audiogen.codec.model import Codec
from audiogen.files import LONGEST_SHOWN, given_path
from audiogen.model_folder.build import build_part
from audiogen.model_folder.hub import CODEC_FILE, HUB_ID, LM_FILE, resolve_codec
from audiogen.model_folder.layout import CheckpointError
from audiogen.released.archive import read_archive
from audiogen.released.codec_config import read_codec_config
from audiogen.released.names import check_counts, load_named, published_names
from audiogen.released.package import (
    TRAINING_FILE,
    Weights,
    check_weights,
    chosen_state,
    is_language_model,
    read_config,
)
from audiogen.released.transformers_folder import is_encodec_folder, load_encodec_folder

NOT_HERE = ("dac_44khz", "dac_24khz", "debug_compression_model")  # names with a meaning upstream


def load_released_codec(path: str | Path, *, weights: Weights = "best") -> Codec:
    """Read a published codec: a file, or the folder that holds it; on the CPU, in eval mode.

    Args:
        path: ``compression_state_dict.bin``; a training checkpoint such as ``checkpoint.th``;
            a folder with one of the two. A file that names another codec instead of holding one
            is followed, to a path or to an `EncodecModel` of transformers on this disk or the hub.
        weights: of a training checkpoint, which it has several sets of: the "best" (averaged, if
            it was trained so), the moving average "ema", or the "last".

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is damaged, hostile, of another model, or does not fit; see
            `read_archive`, `read_codec_config` and `load_named`.
    """
    check_weights(weights)
    return _load(given_path(path), weights, seen=())


def released_file(path: Path) -> Path | None:
    """Return the file of a published codec that a path names, if it names one.

    Any file counts: it is read by what it holds, not by its name.
    """
    if path.is_file():
        return path
    files = (path / CODEC_FILE, path / TRAINING_FILE)
    return next((file for file in files if file.is_file()), None)


def _load(path: Path, weights: Weights, *, seen: tuple[Path, ...]) -> Codec:
    file = released_file(path)
    if file is None:
        if is_encodec_folder(path):
            return load_encodec_folder(path)
        raise FileNotFoundError(_nothing_at(path))
    if file.resolve() in seen:
        raise CheckpointError(
            f"{file} names itself as the codec to load, by way of {len(seen)} file(s): get the "
            "file that holds the codec"
        )
    package = read_archive(file)
    if "pretrained" in package:
        return _follow(package["pretrained"], file, weights, seen=(*seen, file.resolve()))
    cfg = read_config(package, file)
    state = chosen_state(package, weights, file)
    if is_language_model(state):
        raise CheckpointError(
            f"{file} is a language model, and a codec was asked for: its codec is published as "
            f"{CODEC_FILE} beside it"
        )
    keywords = read_codec_config(cfg)
    check_counts(keywords, state, source=file)
    codec = build_part(Codec, keywords, file, said_in="xp.cfg")
    load_named(codec, state, published_names(codec), source=file)
    return codec.eval()


def _follow(name: object, file: Path, weights: Weights, *, seen: tuple[Path, ...]) -> Codec:
    """Load the codec that a file names instead of holding one."""
    if not isinstance(name, str) or name in NOT_HERE:
        raise CheckpointError(
            f"{file} stands for the codec {name!r}, which is none of ours: EnCodec models can be "
            "loaded here, published by AudioCraft or by transformers"
        )
    for place in (name, file.parent / name):
        if (path := _existing(place)) is not None:
            return _load(path, weights, seen=seen)
    if not HUB_ID.fullmatch(name):
        raise FileNotFoundError(
            f"{file} stands for the codec {name[:LONGEST_SHOWN]!r}, and there is no such file or "
            f"folder: put it beside {file.name}, or load it directly"
        )
    return _load(resolve_codec(name), weights, seen=seen)


def _existing(place: str | Path) -> Path | None:
    with suppress(FileNotFoundError):  # where nothing can be, nothing is
        path = given_path(place)
        return path if path.exists() else None
    return None


def _nothing_at(path: Path) -> str:
    if not path.is_dir():
        return f"there is no {path}: give a {CODEC_FILE}, a training checkpoint, or their folder"
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:4]) or "nothing"
    lacks = f"{path} holds no {CODEC_FILE} and no {TRAINING_FILE} (it holds {found})"
    if (path / LM_FILE).is_file():
        return f"{lacks}: the language model alone does not make sound, copy the codec beside it"
    return f"{lacks}: give another folder"
