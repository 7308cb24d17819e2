"""Read an export again, compare what it gives with what it was made of, write its certificate."""

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from audiogen.certificate.musicgen import reread_musicgen
from audiogen.certificate.witness import (
    FRAMES,
    PROMPTS,
    SCALE,
    SEED,
    TOP_K,
    CertificateError,
    Witness,
    rounded_to,
    witness_codec,
    witness_model,
    witness_of,
)
from audiogen.checkpoint import load_codec, load_parts
from audiogen.codec.model import Codec
from audiogen.files import replacing
from audiogen.model_folder.certificate import CERTIFICATE, FILE, certificate_of, summary
from audiogen.model_folder.known import sha256_of
from audiogen.model_folder.write import Check
from audiogen.released.export import Parts

Reread = Callable[[Path], tuple[Witness, str | None]]
WEIGHTS = (".safetensors", ".bin")
VERSION = 1


def certify(
    model: Parts | Codec,
    witnesses: Mapping[str, Witness],
    *,
    layout: str,
    frames: int,
    reread: Reread | None = None,
) -> Check:
    """Return what checks an export before it takes its place.

    Args:
        model: what is being written; its text encoder is used again where the export names an
            outside one.
        witnesses: by whose weights they are of. The last are those that are written; the others
            are compared with them, and reported.
        layout: of the export, in a word.
        frames: as of the witnesses.
        reread: reads the export again and returns what it gives, and what is allowed to differ in
            words; None reads it by `audiogen.checkpoint`.

    Returns:
        A function of the folder or file of an export. It writes the certificate beside the weights
        and returns a line for the model card.

    Raises:
        CertificateError: by that function, if the export gives anything else.
    """

    def check(path: Path) -> Mapping[str, object]:
        found, remark = (reread or _reread(model, frames))(path)
        written = list(witnesses)[-1]
        wanted = witnesses[written]
        difference = found.difference(wanted)
        if difference and remark is None:
            raise CertificateError(
                f"the export differs from the {written} weights it was made of in {difference} of "
                f"{wanted.measure}: nothing is written. Are other processes changing the model, or "
                "is this a fault of the disk or of a version? certificate=false writes it unchecked"
            )
        others = {name: found.difference(other) for name, other in witnesses.items()}
        equal = [name for name, share in others.items() if not share or name == written]
        certificate = _header(layout, wanted) | {
            "files": _files(path),
            "written": written,
            "codes": {n: w.hashes() for n, w in {**witnesses, "export": found}.items()},
            "equal": [*equal, "export"],
            "differ": {name: others[name] for name in others if name not in equal},
            **({"remark": remark} if remark else {}),
        }
        with replacing(certificate_of(path)) as temporary:
            text = json.dumps(certificate, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        return {"certificate": f"{CERTIFICATE}: {summary(certificate)}"}

    return check


def certify_as(
    layout: str, model: Parts | Codec, witnesses: Mapping[str, Witness], *, frames: int
) -> Check:
    """Do what `certify` does, and read the export by whatever reads its layout."""
    reread = None
    if layout == "transformers" and not isinstance(model, Codec):
        written = witnesses[list(witnesses)[-1]]
        reread = reread_musicgen(model, written, frames=frames)
    return certify(model, witnesses, layout=layout, frames=frames, reread=reread)


def certified(
    model: Parts | Codec,
    *,
    layout: str = "folder",
    dtype: torch.dtype | None = None,
    frames: int = FRAMES,
) -> Check:
    """Return what checks the export of a model that is in memory, by `certify`.

    ``dtype`` is of the weights in the export, if it is not theirs.
    """

    def check(path: Path) -> Mapping[str, object]:
        witnesses = {"model": witness_of(model, frames=frames)}
        if dtype is not None:
            rounded = witness_of(rounded_to(model, dtype), frames=frames)
            witnesses[f"model in {str(dtype).removeprefix('torch.')}"] = rounded
        return certify_as(layout, model, witnesses, frames=frames)(path)

    return check


def _header(layout: str, witness: Witness) -> dict[str, Any]:
    generated = {
        "prompts": list(witness.prompts),
        "seed": SEED,
        "guidance_scale": SCALE,
        "top_k": TOP_K,
        "temperature": 1.0,
    }
    if witness.prompts and len(witness.prompts) < len(PROMPTS):
        generated["note"] = "the text encoder was out of reach: captions were not compared"
    return {
        "format": "audiogen-certificate",
        "version": VERSION,
        "layout": layout,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "audiogen": version("audiogen"),
            "torch": torch.__version__,
            "transformers": version("transformers"),
            "python": platform.python_version(),
        },
        "measure": witness.measure,
        **(generated if witness.prompts else {}),
    }


def _files(path: Path) -> dict[str, dict[str, object]]:
    """Return size and sha256 of every file of weights, or of the one there is."""
    found = {FILE: path}
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in WEIGHTS)
        found = {file.relative_to(path).as_posix(): file for file in files}
    return {
        name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
        for name, file in found.items()
    }


def _reread(model: Parts | Codec, frames: int) -> Reread:
    def read(path: Path) -> tuple[Witness, str | None]:
        if isinstance(model, Codec):
            return witness_codec(load_codec(path), frames=frames), None
        parts = load_parts(path, like=model)
        return witness_model(parts, frames=frames), None

    return read
