"""certificate.json: what weights gave before they were written, and when they were read again."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from audiogen.model_folder.known import sha256_of
from audiogen.model_folder.layout import CheckpointError

CERTIFICATE = "certificate.json"
FILE = "the file"  # stands for its name, which may change
CHEAP = 1 << 26  # bytes of weights that are hashed whenever they are loaded: some 0.1 s
NONE = "none: nobody compared it with what it was made of"


def certificate_of(path: Path) -> Path:
    """Return where the certificate of a folder, or of a file of weights, lies."""
    return path / CERTIFICATE if path.is_dir() else path.with_name(f"{path.stem}.{CERTIFICATE}")


def read_certificate(path: Path) -> dict[str, Any] | None:
    """Return the certificate of a folder or file; None if there is none.

    Raises:
        CheckpointError: if it is damaged.
    """
    file = certificate_of(path)
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        whole = all(isinstance(entry["sha256"], str) for entry in found["files"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(_damaged(file)) from error
    if not whole or not isinstance(found.get("codes"), dict):
        raise CheckpointError(_damaged(file))
    return dict(found)


def check_certificate(path: Path, *, names: Collection[str] | None = None, whole: bool) -> None:
    """Compare weights with their certificate, where there is one.

    Args:
        path: a folder, or a file of weights.
        names: of the files that are about to be read; None is all.
        whole: hash them, however large, and miss none; else hash only if that takes no time, and
            compare sizes of those there: what was read without the others did not need them.

    Raises:
        CheckpointError: naming those that are not the ones certified.
        FileNotFoundError: if ``whole`` and one is missing.
    """
    certificate = read_certificate(path)
    if certificate is None:
        return
    folder, files = path, dict(certificate["files"])
    if path.is_file():
        folder, files = path.parent, {path.name: files.get(FILE, {"sha256": ""})}
    files = {name: entry for name, entry in files.items() if names is None or name in names}
    missing = [name for name in files if not (folder / name).is_file()]
    if missing and whole:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}: copy or download the whole folder again"
        )
    files = {name: entry for name, entry in files.items() if name not in missing}
    sizes = {name: (folder / name).stat().st_size for name in files}
    wrong = [name for name, size in sizes.items() if size != files[name].get("bytes")]
    if not wrong and (whole or sum(sizes.values()) <= CHEAP):
        wrong = [name for name in files if sha256_of(folder / name) != files[name]["sha256"]]
    if wrong:
        raise CheckpointError(
            f"{folder}: {', '.join(wrong)} is not what {certificate_of(path).name} certifies: copy "
            "or download the whole folder again, or remove the certificate if it was changed on "
            "purpose"
        )


def describe_certificate(path: Path) -> str:
    """Say in one line what the certificate of a folder or file says."""
    certificate = read_certificate(path)
    return NONE if certificate is None else summary(certificate)


def summary(certificate: Mapping[str, Any]) -> str:
    """Say in one line what a certificate says."""
    equal = " = ".join(certificate.get("equal", ()))
    differ = ", ".join(f"{k} differs in {v}" for k, v in certificate.get("differ", {}).items())
    return f"{equal} by {certificate.get('measure')}, {certificate.get('date')}" + (
        f"; {differ}" if differ else ""
    )


def _damaged(file: Path) -> str:
    return f"{file} is damaged: copy or download the folder again, or remove it"
