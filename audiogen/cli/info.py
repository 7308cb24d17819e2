"""`audiogen info`: what a model or a file of codes is, without building the model."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from audiogen.checkpoint import find_codec, is_ours, load_codec
from audiogen.cli.codes_file import open_codes
from audiogen.model_folder.card import describe_part
from audiogen.model_folder.hub import LM_FILE
from audiogen.model_folder.layout import check_files, model_hash, read_config
from audiogen.released.archive import is_archive
from audiogen.released.describe import describe
from audiogen.released.load import released_file
from audiogen.released.transformers_folder import is_encodec_folder


def run(args: argparse.Namespace) -> int:
    """Print one fact per line."""
    path = find_codec(args.path)
    if is_ours(path):
        facts = _our_facts(path, verify=args.verify)
    elif is_archive(path) or (path.is_dir() and released_file(path)) or is_encodec_folder(path):
        facts = _released_facts(path, verify=args.verify)
    elif path.is_file():
        facts = _codes_facts(path)
    else:
        facts = _our_facts(path, verify=args.verify)  # which says what is missing
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _our_facts(folder: Path, *, verify: bool) -> dict[str, object]:
    config = read_config(folder)
    facts = _model_facts(folder, config)
    if verify:
        check_files(folder, config)
        facts["verified"] = "every file is what was saved"
    return facts


def _released_facts(path: Path, *, verify: bool) -> dict[str, object]:
    """Facts of what others published; its hash is known only when it is built."""
    found = describe(path)
    facts: dict[str, object] = {"path": path, "format": found.format}
    if found.codec is not None:
        facts |= _codec_facts(found.codec)
        causal = "causal" if found.codec["causal"] else "not causal"
        facts["convolutions"] = (
            f"{causal}, {found.codec['norm']}, padding {found.codec['pad_mode']}"
        )
    if found.tensors:
        dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in found.tensors.values()})
        values = sum(t.numel() for t in found.tensors.values())
        facts["tensors"] = f"{len(found.tensors)} of {values:,} values of {'/'.join(dtypes)}"
    if found.codec is not None and path.is_dir() and (path / LM_FILE).is_file():
        facts["language model"] = f"{LM_FILE} lies beside the codec and is not read yet"
    if verify:
        facts["codec hash"] = load_codec(path).fingerprint()
        facts["verified"] = "every tensor is there, whole and in its place"
    return facts


def _codes_facts(path: Path) -> dict[str, object]:
    codes = open_codes(path)
    facts = {"path": path, "codes": list(codes.shape), **codes.metadata}
    rate = codes.metadata.get("sample_rate", "")
    if rate.isdecimal() and int(rate) > 0:
        facts["samples"] = f"{codes.samples} ({codes.samples / int(rate):.4g} s)"
    return facts


def _model_facts(folder: Path, config: Mapping[str, Any]) -> dict[str, object]:
    card = config["card"]
    facts: dict[str, object] = {
        "path": folder,
        "name": card.get("name"),
        "licence": card.get("licence"),
        "training data": card.get("training_data"),
        "stand-ins": card.get("stand_ins"),
        "format": f"{config['format']} {config['version']}, by audiogen {config['written_by']}",
        **_codec_facts(config["codec"]),
    }
    if "lm" in config:
        lm = config["lm"]
        facts["language model"] = (
            f"{lm['num_layers']} layers of width {lm['dim']}, {lm['num_heads']} heads"
        )
        facts["text encoder"] = describe_part(config["text"])
        facts["longest window"] = f"{config['max_duration']:g} s"
    for name, entry in config["files"].items():
        facts[name] = f"{_size(folder / name, entry['bytes'])}, sha256 {entry['sha256'][:12]}"
    return facts | {"codec hash": config["codec_hash"], "model hash": model_hash(config)}


def _codec_facts(codec: Mapping[str, Any]) -> dict[str, object]:
    frame_rate = codec["sample_rate"] / math.prod(codec["ratios"])
    bits = codec["num_codebooks"] * math.log2(codec["codebook_size"])
    return {
        "sound": f"{codec['sample_rate']} Hz, {codec['channels']} channel(s)",
        "codes": (
            f"{codec['num_codebooks']} codebooks of {codec['codebook_size']}, "
            f"{frame_rate:g} frames/s, {bits * frame_rate / 1000:.3g} kbit/s"
        ),
    }


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
