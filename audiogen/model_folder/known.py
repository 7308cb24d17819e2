"""Published models whose files are known by size and hash, and under which licence they are."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

LONG = 1 << 28  # bytes; reading more than these is worth a progress bar
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One revision of a published model."""

    name: str  # hub id
    revision: str  # commit of the hub
    licence: str
    files: dict[str, tuple[int, str]]  # name -> bytes, sha256


KNOWN = (
    Known(
        name="facebook/audiogen-medium",
        revision="1277dd7dfd8fa57a205a70acc5de0ee90804502f",
        licence="CC-BY-NC-4.0",
        files={
            "state_dict.bin": (
                3_678_455_287,
                "f3b20997834de1ca47d6a31d00a5dc37019b279c7c8f250fd482d56def04faaa",
            ),
            "compression_state_dict.bin": (
                235_740_815,
                "5a520e64ca99226a9956f83b06df0617b713183fcdc384779883a6bb46dc1095",
            ),
        },
    ),
)
LICENCES = {"facebook": "CC-BY-NC-4.0"}  # of all weights of AudioCraft, by who publishes them


def known_file(path: Path) -> Known | None:
    """Tell which known model a file is of, by its content; only a file of that size is read."""
    size = path.stat().st_size
    for model in KNOWN:
        for expected, digest in model.files.values():
            if size == expected and sha256_of(path) == digest:
                return model
    return None


def hub_id_of(path: Path) -> str | None:
    """Return the hub id of a file that lies in the hub's cache, as its folders are named."""
    for part in path.absolute().parts:
        if part.startswith("models--") and part.count("--") >= 2:
            return part.removeprefix("models--").replace("--", "/", 1)
    return None


def licence_of(path: Path) -> tuple[str, str] | None:
    """Return hub id and licence of a published file, as far as they are known."""
    name = hub_id_of(path)
    if name is not None and (licence := LICENCES.get(name.partition("/")[0])):
        return name, licence
    known = known_file(path)
    return None if known is None else (known.name, known.licence)


def sha256_of(path: Path) -> str:
    """Hash a file, in hex; once per process as long as it is not changed."""
    stat = path.stat()
    return _sha256(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1 << 8)
def _sha256(path: Path, size: int, _: int) -> str:
    digest = hashlib.sha256()
    bar = tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc=f"checking {path.name[:24]}",
        disable=size < LONG,
        leave=False,
    )
    with path.open("rb") as file, bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()
