"""Reports as files: read with a clear answer to what is none, written at once or not at all."""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluation.folders import AUDIO_SUFFIXES, UNREAD_SUFFIXES
from evaluation.scorers.score import Score

FORMAT = "evaluation-report"
FORMAT_VERSION = 2
READABLE = (1, 2)
OLD = (
    "read from a report of format 1: it has no sanity battery, no facts about features and no "
    "breakdown, and compares with reports of its own instrument only. Score again to have them."
)


class ReportError(ValueError):
    """A file that is not a report: which, why, and what to do."""


def read_content(path: Path) -> dict[str, Any]:
    """Return what a report file holds, its scores as `Score`.

    Raises:
        ReportError: if the file is missing, not JSON, or not a report of a known format.
        KeyError, TypeError, AttributeError, ValueError: what a damaged report leads to.
    """
    content = _read_json(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ReportError(f"{path}: not an evaluation report. Make one with --json.")
    version = content.pop("format_version", None)
    content.pop("seed", None)  # a copy, for readers of the file
    if type(version) is not int or version not in READABLE:  # 2.0 and true equal whole numbers
        raise ReportError(
            f"{path}: report format {version!r}, expected {FORMAT_VERSION}. Score again."
        )
    content["scores"] = _read_scores(content["scores"])
    content["classes"] = _read_groups(content.get("classes", {}))
    breakdown = content.get("breakdown", {}).items()
    content["breakdown"] = {kind: _read_groups(groups) for kind, groups in breakdown}
    if version == 1:
        content["warnings"] = [*content.get("warnings", []), OLD]
    return content


def without_nan(value: Any) -> Any:
    """Return nested values as JSON has them: what is not finite becomes None."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flatten(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings as ("a.b.c", value), in order."""
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from flatten(entry, f"{prefix}.{key}")
    else:
        yield prefix, value


def check_writable(path: Path | None, *, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse before the work what could only fail after it, or would destroy what it is about.

    Args:
        path: where a file is to be written; None for none.
        inputs: files and folders that are read: nothing is written over or into them.

    Raises:
        ValueError: if a file cannot be written at that place.
    """
    if path is None:
        return
    target = _target(path)
    folder = target.parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {path}: folder {folder} does not exist")
    reason = None
    if target.is_dir():
        reason = "it is a folder"
    elif not os.access(target if _is_stream(target) else folder, os.W_OK):
        reason = f"folder {folder} takes no files"
    elif target.suffix.lower() in (*AUDIO_SUFFIXES, *UNREAD_SUFFIXES):
        reason = "it is named like a sound"
    elif {target, folder} & {Path(os.path.realpath(entry)) for entry in inputs if entry}:
        reason = "what is scored is read from there"
    if reason is not None:
        raise ValueError(f"cannot write {path}: {reason}")


def check_distinct(files: Mapping[str, Path | None]) -> None:
    """Refuse one place for two files.

    Args:
        files: where each is to be written, by the name of its option; None for none.

    Raises:
        ValueError: naming the two options.
    """
    taken: dict[Path, str] = {}
    for name, path in files.items():
        if path is None or _is_stream(_target(path)):
            continue
        other = taken.setdefault(_target(path), name)
        if other != name:
            raise ValueError(f"--{other} and --{name} are one file, {path}: name two")


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON values as the text of a file."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: a reader sees the old one or the new one, never a part.

    A link stays one, to the new file; what is no file, such as a pipe, is written to.
    """
    path = _target(path)
    if _is_stream(path):
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # mkstemp makes it private
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _target(path: Path) -> Path:
    """Return what a path leads to; a pipe behind a link has no place of its own.

    Raises:
        ValueError: for links that lead in a circle.
    """
    try:
        return path if _is_stream(path) else path.resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"cannot write {path}: its links lead in a circle") from error


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise ReportError(f"there is no report {path}; --json writes one")
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{path}: cannot be read as JSON ({error})") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value


def _whole(text: str) -> int:
    _finite(text)  # digits without end would fail wherever they meet a float
    return int(text)


def _read_scores(raw: dict[str, Any]) -> dict[str, Score]:
    return {key: Score.from_dict(entry) for key, entry in raw.items()}


def _read_groups(raw: dict[str, Any]) -> dict[str, dict[str, Score]]:
    return {label: _read_scores(scores) for label, scores in raw.items()}
