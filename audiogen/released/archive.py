"""Archives that `torch.save` wrote, read without running what is in them."""

import io
import logging
import pickletools
import re
import threading
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from audiogen.model_folder.layout import CheckpointError
from audiogen.released.stand_ins import STAND_INS

LOG = logging.getLogger(__name__)
ONE_AT_A_TIME = threading.Lock()  # torch keeps one list of names for all threads
AGAIN = "copy or download it again"
HARMLESS = {name for _, name in STAND_INS} | {"collections.OrderedDict", "_codecs.encode"}
TENSORS = re.compile(  # what a tensor is pickled as; torch.load and torch.hub.load are not among it
    r"torch\.(_utils\._rebuild\w+|_tensor\._rebuild\w+|(storage\.)?\w*Storage|Size|device|bool|"
    r"[a-z]+\d\w*|nn\.parameter\.\w+|serialization\._get_layout)"
)


def read_archive(path: Path) -> dict[str, Any]:
    """Read a file of `torch.save`: tensors, plain values, and OmegaConf nodes as `Note`.

    Tensors are mapped, not read: copy those that are wanted.

    Raises:
        CheckpointError: if it is no such file, is damaged, or names anything that would have to be
            called or built; that is named, never run.
    """
    mapped = _check_kind(path)
    try:
        with (
            ONE_AT_A_TIME,
            torch.serialization.safe_globals(STAND_INS),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of odd files; what is wrong with one is an error here
            package = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever a damaged or hostile file makes the reader raise
        raise CheckpointError(_say_why(path, error)) from error
    if not isinstance(package, dict):
        raise CheckpointError(
            f"{path} holds a {type(package).__name__} instead of a dict with best_state and "
            "xp.cfg: it is of another program, give another file"
        )
    return package


def is_archive(path: Path) -> bool:
    """Tell whether a file begins as those of `torch.save` do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")


def _check_kind(path: Path) -> bool:
    """Refuse what is no archive of torch; say whether its tensors can be mapped."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise CheckpointError(f"{path} is empty: {AGAIN}")
    if start[8:9] == b"{":
        raise CheckpointError(
            f"{path} is a safetensors file: give the folder that holds it and its config.json"
        )
    if start[:2] == b"PK":
        stat = path.stat()
        return _check_sums(path, stat.st_size, stat.st_mtime_ns)
    if start[:1] != b"\x80":  # how a pickle begins, of torch before 1.6
        raise CheckpointError(
            f"{path} is not a file of torch.save (it begins with {start[:8]!r}): give a "
            "compression_state_dict.bin, a training checkpoint, or a model folder"
        )
    _warn_unsummed(path)
    return False


@lru_cache(maxsize=1 << 8)  # of a file of gigabytes it takes seconds, and several ask
def _check_sums(path: Path, size: int, changed: int) -> bool:
    """Compare every record with its check sum; say whether all lie there uncompressed.

    The path alone does not say that a file is the same as before: ``size`` and ``changed`` do. A
    file in which no sum is right was written without them (`torch.serialization` can), and is
    taken as it is.
    """
    wrong: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            wrong = [record.filename for record in records if not _is_whole(archive, record)]
    except Exception as error:  # zipfile has no one error for damage
        raise CheckpointError(f"{path} is cut short or damaged ({error}): {AGAIN}") from error
    if wrong and len(wrong) < len(records):
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise CheckpointError(
            f"{path} is damaged: {len(wrong)} of {len(records)} records are not what was written "
            f"({shown}): {AGAIN}"
        )
    if wrong:
        _warn_unsummed(path)
    return all(record.compress_type == zipfile.ZIP_STORED for record in records)


@lru_cache(maxsize=1 << 10)
def _warn_unsummed(path: Path) -> None:
    """Warn once per file."""
    LOG.warning(
        "%s holds no check sums (torch before 1.6 wrote none), so damage to its numbers cannot be "
        "seen. Compare it with its source, then write it anew, with sums: by "
        "audiogen.released.export_released, or audiogen.checkpoint.save_codec",
        path,
    )


def _is_whole(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(record) as file:
            while file.read(1 << 20):
                pass
    except zipfile.BadZipFile as error:
        if "Bad CRC" in str(error):
            return False
        raise
    return True


def _say_why(path: Path, error: Exception) -> str:
    wanted = sorted(set(_foreign_names(path)) | set(re.findall(r"GLOBAL (\S+)", str(error))))
    if wanted:
        return (
            f"{path} wants {', '.join(wanted)} to be called, which no model needs: refused, and "
            "nothing of it was run. Do not load it by other means; get the file from its author"
        )
    return f"{path} cannot be read ({_first_line(error)}): {AGAIN}"


def _first_line(error: Exception) -> str:
    """The reason alone: torch begins with the advice to read the file without its safeguard."""
    reason = str(error).rpartition("WeightsUnpickler error: ")[2]
    lines = reason.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _foreign_names(path: Path) -> list[str]:
    """Everything a pickle looks up by name that belongs neither to tensors nor to `STAND_INS`."""
    try:
        names = [name for data in _pickles(path) for name in _looked_up(data)]
    except Exception:  # what cannot be read names nothing
        return []
    return [n for n in names if n not in HARMLESS and not TENSORS.fullmatch(n)]


def _pickles(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data[:2] != b"PK":  # which is how torch tells them apart
        return _one_by_one(data)
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]


def _one_by_one(data: bytes) -> list[bytes]:
    """Cut apart the pickles of a file from before zip; bytes that are none come last."""
    file, begins = io.BytesIO(data), [0]
    try:
        while True:
            for _ in pickletools.genops(file):
                pass
            begins.append(file.tell())
    except Exception:  # the tensors, or damage
        return [data[i:j] for i, j in pairwise([*begins, len(data)])]


def _looked_up(data: bytes) -> list[str]:
    """Names of a pickle, found by reading its instructions without following them."""
    names: list[str] = []
    strings: list[str] = []  # the last two are what a STACK_GLOBAL looks up
    memo: dict[int, str] = {}
    try:
        for code, value, _ in pickletools.genops(data):
            if code.name in ("GLOBAL", "INST"):
                names.append(".".join(str(value).split(" ", 1)))
            elif code.name == "STACK_GLOBAL":
                names.append(".".join(strings[-2:]))
            elif code.name == "MEMOIZE" or "PUT" in code.name:
                memo[len(memo) if value is None else int(value)] = strings[-1] if strings else ""
            elif "GET" in code.name and value in memo:
                strings.append(memo[value])
            elif isinstance(value, str):
                strings.append(value)
    except Exception:  # the rest is damaged; what was found is still worth naming
        return [_modern(name) for name in names]
    return [_modern(name) for name in names]


def _modern(name: str) -> str:
    """Name of what Python 2 called otherwise: torch writes pickles that it could read."""
    module, _, rest = name.partition(".")
    if (module, rest) in NAME_MAPPING:
        return ".".join(NAME_MAPPING[module, rest])
    return f"{IMPORT_MAPPING.get(module, module)}.{rest}"
