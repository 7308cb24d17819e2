"""`audiogen info`: what a model or a file of codes is, without building the model."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from audiogen import embedded
from audiogen.checkpoint import find_codec, is_ours
from audiogen.cli import NO_MODEL
from audiogen.cli.codes_file import open_codes
from audiogen.cli.published import musicgen_lines, published_facts
from audiogen.cli.words import card_facts, codec_facts, lm_facts
from audiogen.model_folder.card import describe_part
from audiogen.model_folder.certificate import check_certificate, describe_certificate
from audiogen.model_folder.hub import LM_FILE
from audiogen.model_folder.layout import check_files, model_hash, read_config
from audiogen.released.archive import is_archive
from audiogen.released.lm_load import lm_file
from audiogen.released.load import released_file
from audiogen.released.musicgen_load import is_musicgen_folder
from audiogen.released.transformers_folder import is_encodec_folder


def run(args: argparse.Namespace) -> int:
    """Print one fact per line."""
    if args.path == embedded.NAME and not embedded.is_there():
        raise ValueError(NO_MODEL)
    path = find_codec(args.path)
    if not Path(args.path).expanduser().exists() and (path.parent / LM_FILE).is_file():
        path = path.parent  # of the hub: the whole model is in its cache, not the codec alone
    if is_ours(path):
        facts = _our_facts(path, verify=args.verify)
    elif is_musicgen_folder(path):
        facts = musicgen_lines(path, verify=args.verify)
    elif _is_published(path):
        facts = published_facts(path, verify=args.verify)
    elif path.is_file():
        facts = _codes_facts(path)
    else:
        facts = _our_facts(path, verify=args.verify)  # which says what is missing
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _is_published(path: Path) -> bool:
    if path.is_file():
        return is_archive(path)
    return bool(released_file(path) or lm_file(path)) or is_encodec_folder(path)


def _our_facts(folder: Path, *, verify: bool) -> dict[str, object]:
    config = read_config(folder)
    facts = _model_facts(folder, config) | {"certificate": describe_certificate(folder)}
    if verify:
        check_files(folder, config)
        check_certificate(folder, whole=True)
        facts["verified"] = "every file is what was saved"
    return facts


def _codes_facts(path: Path) -> dict[str, object]:
    codes = open_codes(path)
    facts = {"path": path, "codes": list(codes.shape), **codes.metadata}
    rate = codes.metadata.get("sample_rate", "")
    if rate.isdecimal() and int(rate) > 0:
        facts["samples"] = f"{codes.samples} ({codes.samples / int(rate):.4g} s)"
    return facts


def _model_facts(folder: Path, config: Mapping[str, Any]) -> dict[str, object]:
    facts: dict[str, object] = {
        "path": folder,
        **card_facts(config["card"]),
        "format": f"{config['format']} {config['version']}, by audiogen {config['written_by']}",
        **codec_facts(config["codec"]),
    }
    if "lm" in config:
        facts |= lm_facts(config["lm"])
        facts["text encoder"] = f"{describe_part(config['text'])}, width {config['lm']['text_dim']}"
        facts["longest window"] = f"{config['max_duration']:g} s"
        facts["sound made"] = facts["sound"]
    for name, entry in config["files"].items():
        facts[name] = f"{_size(folder / name, entry['bytes'])}, sha256 {entry['sha256']}"
    return facts | {"codec hash": config["codec_hash"], "model hash": model_hash(config)}


def _size(path: Path, expected: int) -> str:
    """Values, dtypes and bytes of a tensor file, from its header."""
    if not path.is_file():
        return "MISSING"
    if path.stat().st_size != expected:
        return f"DAMAGED ({path.stat().st_size} bytes instead of {expected})"
    values, dtypes = 0, set()
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_slice(name)
                values += math.prod(tensor.get_shape())
                dtypes.add(tensor.get_dtype())
    except SafetensorError as error:
        return f"DAMAGED ({error})"
    return f"{values:,} values of {'/'.join(sorted(dtypes))}, {expected / 1e6:,.1f} MB"
