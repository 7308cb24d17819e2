"""`audiogen info` of what others published: facts, without building the model."""

from pathlib import Path

from audiogen.checkpoint import load_codec, load_model
from audiogen.cli.words import card_facts, codec_facts, lm_facts
from audiogen.model_folder.certificate import check_certificate, describe_certificate
from audiogen.model_folder.layout import model_hash
from audiogen.released.describe import Description, describe
from audiogen.released.facts import card_of, hashed_config
from audiogen.released.lm_load import LMFile, build_lm
from audiogen.released.musicgen_load import hashed_facts
from audiogen.released.whole import load_fitting_codec


def published_facts(path: Path, *, verify: bool) -> dict[str, object]:
    """Facts of what others published; its codec's hash is known only when it is built."""
    found = describe(path)
    facts: dict[str, object] = {"path": path, "format": found.format}
    if found.lm is not None:
        facts |= card_facts(card_of(found.lm))
    if found.codec is not None:
        facts |= codec_facts(found.codec)
    if found.lm is not None:
        facts |= _published_lm_facts(found.lm)
    if found.tensors:
        dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in found.tensors.values()})
        values = sum(t.numel() for t in found.tensors.values())
        facts["tensors"] = f"{len(found.tensors)} of {values:,} values of {'/'.join(dtypes)}"
    if found.lm is not None:
        facts |= _hashes(found.lm)
    facts["certificate"] = describe_certificate(path)
    if verify:
        facts |= _verified_facts(path, found)
        check_certificate(path, whole=True)
    return facts


def musicgen_lines(folder: Path, *, verify: bool) -> dict[str, object]:
    """Facts of a MusicGen of transformers."""
    found = hashed_facts(folder)
    facts: dict[str, object] = {
        "path": folder,
        **card_facts(found["card"]),
        "format": "MusicgenForConditionalGeneration of transformers",
        **codec_facts(found["codec"]),
        **lm_facts(found["lm"]),
        "text encoder": f"t5, inside, width {found['lm']['text_dim']}",
        "longest window": f"{found['max_duration']:g} s",
    }
    for name, entry in found["files"].items():
        facts[name] = f"{entry['bytes'] / 1e6:,.1f} MB, sha256 {entry['sha256']}"
    facts |= {"model hash": model_hash(found), "certificate": describe_certificate(folder)}
    if verify:
        load_model(folder)
        check_certificate(folder, whole=True)
        facts["verified"] = "every tensor is there, whole and in its place"
    return facts


def _published_lm_facts(file: LMFile) -> dict[str, object]:
    lm, config = file.keywords, file.config
    facts: dict[str, object] = {
        **lm_facts(lm),
        "text encoder": f"t5, {config.text['name']}, width {lm['text_dim']}",
        "longest window": f"{config.max_duration:g} s",
        "sound made": f"{config.sample_rate} Hz, {config.channels} channel(s)",
    }
    if config.guidance_scale is not None:
        facts["guidance scale"] = f"{config.guidance_scale:g}"
    return facts


def _hashes(file: LMFile) -> dict[str, object]:
    return {
        name: f"{entry['bytes'] / 1e6:,.1f} MB, sha256 {entry['sha256']}"
        for name, entry in hashed_config(file)["files"].items()
    }


def _verified_facts(path: Path, found: Description) -> dict[str, object]:
    """Build what a description is of, which looks at every tensor."""
    facts: dict[str, object] = {}
    if found.lm is None:
        facts["codec hash"] = load_codec(path).fingerprint()
    else:
        build_lm(found.lm)
    if found.lm is not None and found.codec is not None:
        facts["codec hash"] = load_fitting_codec(found.lm, None).fingerprint()
    return facts | {"verified": "every tensor is there, whole and in its place"}
