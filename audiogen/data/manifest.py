"""Manifests: which sounds there are and what is said about them, one JSON object per line.

A manifest lies in the folder of its audio, and its paths are relative to that folder, so that the
whole can be moved. Unknown keys are errors, because a mistyped key would otherwise be a caption
that silently never trains; what other tools want to keep goes under "extra".
"""

import difflib
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from audiogen.files import replacing

SPLITS = ("train", "valid", "test")
MAX_CAPTION = 2000  # characters; longer text is a document that strayed into the caption column
MAX_ID = 200  # characters; ids become names of files


class ManifestError(ValueError):
    """A manifest that cannot be read or written; the message names file and line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A span of one audio file and what is known about it.

    Raises:
        ValueError: if a value is of the wrong type or out of range, naming the field.
    """

    id: str  # unique in its manifest, and fit to be the name of a file
    path: Path  # of the audio; absolute after reading
    start: float  # seconds from the beginning of the file
    duration: float  # seconds
    captions: tuple[str, ...]  # each describes the whole clip; empty for audio without text
    source: str  # the data set it came from
    licence: str
    split: str  # "train", "valid" or "test"
    labels: Mapping[str, str] = field(
        default_factory=dict
    )  # for probes; shown to models by name only
    extra: Mapping[str, Any] = field(default_factory=dict)  # whatever else is worth keeping

    def __post_init__(self) -> None:
        for name in ("id", "source", "licence", "split"):
            _require(isinstance(getattr(self, name), str), name, "text", getattr(self, name))
        _check_id(self.id)
        _require(self.split in SPLITS, "split", f"one of {', '.join(SPLITS)}", self.split)
        for name, lowest in (("start", "0 or more"), ("duration", "more than 0")):
            value = getattr(self, name)
            _require(_is_time(value, name), name, f"a finite number of seconds, {lowest}", value)
            object.__setattr__(self, name, float(value))
        _check_captions(self.captions)
        _require(isinstance(self.labels, Mapping), "labels", "an object", self.labels)
        for key, value in self.labels.items():
            _require(isinstance(value, str), f"labels[{key!r}]", "text", value)
        _require(isinstance(self.extra, Mapping), "extra", "an object", self.extra)


_REQUIRED = [f.name for f in fields(Clip) if f.default_factory is MISSING]
_OPTIONAL = [f.name for f in fields(Clip) if f.default_factory is not MISSING]


def read_manifest(path: str | Path) -> Iterator[Clip]:
    """Yield the clips of a manifest; empty lines are passed over.

    Paths come back absolute. The audio itself is not looked at.

    Raises:
        ManifestError: with file and line, if there is no such file, a line is not JSON or not a
            clip, a key is unknown, a path leads out of the manifest's folder (absolute, "..", or
            through a link), or an id came before.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    try:
        lines = path.open("rb")
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read ({error.strerror}); recipes/datasets writes manifests"
        ) from error
    folder = path.parent.resolve()
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                clip = _clip(line, folder)
                _require_new(clip.id, number, seen)
            except ValueError as error:
                raise ManifestError(f"{path}:{number}: {error}") from error
            yield clip


def write_manifest(path: str | Path, clips: Iterable[Clip]) -> Path:
    """Write clips, atomically, in the given order; the same clips give the same bytes.

    Raises:
        ManifestError: with the line it would have been, for a path outside the manifest's folder
            or an id that came before.
    """
    path = Path(path)
    seen: dict[str, int] = {}

    def rows() -> Iterator[dict[str, Any]]:
        folder = path.parent.resolve()
        for number, clip in enumerate(clips, start=1):
            try:
                _require_new(clip.id, number, seen)
                place = _relative(clip.path, folder)
            except ValueError as error:
                raise ManifestError(f"{path}:{number}: {error}") from error
            row = {name: getattr(clip, name) for name in _REQUIRED} | {"path": place}
            yield row | {
                name: dict(getattr(clip, name)) for name in _OPTIONAL if getattr(clip, name)
            }

    return write_json_lines(path, rows())


def manifest_hash(path: str | Path) -> str:
    """Return the sha256 of a manifest's bytes, in hex: what encoded codes remember of it."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_json_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object per line, atomically; raises ValueError for NaN and infinity."""
    path = Path(path)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def _clip(line: bytes, folder: Path) -> Clip:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
        if b"\\ud" in line.lower():  # half a character, which nothing can write again
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}): {_shown(line)}; one object per line") from error
    if not isinstance(row, dict):
        raise ValueError(f"expected an object with {', '.join(_REQUIRED)}, got {_shown(line)}")
    for key in sorted(row.keys() - {*_REQUIRED, *_OPTIONAL}):
        near = difflib.get_close_matches(key, _REQUIRED + _OPTIONAL, n=1)
        hint = f'did you mean "{near[0]}"?' if near else 'put what is not for us under "extra"'
        raise ValueError(f'unknown key "{key}"; {hint}')
    missing = [key for key in _REQUIRED if key not in row]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}: {_shown(line)}")
    captions = row["captions"]
    if not isinstance(captions, list):
        raise ValueError(f"captions must be a list of text, [] for none, got {captions!r}")
    return Clip(**row | {"path": _absolute(row["path"], folder), "captions": tuple(captions)})


def _absolute(name: Any, folder: Path) -> Path:
    _require(isinstance(name, str) and name != "", "path", "text", name)
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise ValueError(
            f'path "{name}" leads out of the manifest\'s folder; audio lies beside or below it'
        )
    _relative(folder / pure, folder)
    return folder / pure


def _relative(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, which is resolved; refuses what lies outside."""
    real = path.resolve()
    if not real.is_relative_to(folder):
        raise ValueError(
            f'path "{path}" is {real}, outside the folder of the manifest, {folder}; copy the '
            "audio there, or write the manifest above both"
        )
    inside = path if path.is_relative_to(folder) and ".." not in path.parts else real
    return inside.relative_to(folder).as_posix()


def _require(good: bool, name: str, expected: str, value: Any) -> None:
    if not good:
        raise ValueError(f"{name} must be {expected}, got {value!r:.80}")


def _require_new(clip_id: str, number: int, seen: dict[str, int]) -> None:
    first = seen.setdefault(clip_id, number)
    if first != number:
        raise ValueError(f'id "{clip_id}" was already used in line {first}; ids must be unique')


def _is_time(value: Any, name: str) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if isinstance(value, int) and value.bit_length() > sys.float_info.max_exp:
        return False
    return math.isfinite(value) and (value > 0 or (value == 0 and name == "start"))


def _check_id(clip_id: str) -> None:
    fit = clip_id.isprintable() and clip_id not in ("", ".", "..") and len(clip_id) <= MAX_ID
    expected = f"1 to {MAX_ID} printable characters without slashes (it becomes a file name)"
    _require(fit and not set(clip_id) & set("/\\"), "id", expected, clip_id)


def _check_captions(captions: Any) -> None:
    _require(isinstance(captions, tuple), "captions", "a tuple of text", captions)
    for caption in captions:
        good = isinstance(caption, str) and caption.strip() != ""
        _require(good, "captions", "text, each with something in it ([] for none)", caption)
        if len(caption) > MAX_CAPTION:
            raise ValueError(
                f"a caption has {len(caption)} characters, at most {MAX_CAPTION} are allowed; "
                f"shorten it: {caption[:60]!r}..."
            )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number JSON knows")


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return text if len(text) <= 120 else text[:120] + "..."
