"""Lists of clips and captions that others scored: which sentence of which clip.

What is published comes in several forms, and all of them are read:
  {"data": [{"wav": ".../Y-Abc.wav", "caption": "..."}]}      AudioLDM, 964 clips
  {"location": ".../-Abc_30.wav", "captions": "..."}          Tango, a line each, 886 clips
  audiocap_id,youtube_id,start_time,caption                   as test.csv; Stable Audio, 881 clips
A row may name its clip and leave the caption to its audiocap_id.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from recipes.audiocaps_metrics.names import Names
from recipes.audiocaps_metrics.official import Caption, TestSet

FILES = ("wav", "location", "file", "file_name", "path", "youtube_id", "name", "id")
TEXTS = ("caption", "captions", "description", "prompt", "text")
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".npy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a list holds."""

    file: str
    sha256: str
    captions: dict[str, tuple[Caption, ...]]  # by youtube id, in the order of the list
    unknown: list[str]  # of clips that the table does not have
    reworded: int  # captions that are none of their clip's, word for word


def read_list(path: Path, official: TestSet) -> Listed:
    """Read a list of captions in one of the published forms.

    Raises:
        ValueError: with file and place, if it is none of them or nothing in it is an official clip.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such list of captions")
    content = path.read_bytes()
    names, found = Names(official.clips), dict[str, list[Caption]]()
    unknown, reworded = [], 0
    for place, row in _rows(path, content):
        file = next((str(row[key]) for key in FILES if row.get(key)), None)
        if file is None and not row.get("audiocap_id"):
            raise ValueError(f"{path}, {place}: names no clip: none of {', '.join(FILES)} is there")
        match = names.match(_stem(file if file is not None else str(row["audiocap_id"])))
        if match is None:
            unknown.append(str(file))
            continue
        captions = _captions(row, official.clips[match.youtube_id].captions)
        if not captions:
            raise ValueError(f"{path}, {place}: no caption for {file}")
        reworded += sum(not caption.id for caption in captions)
        found.setdefault(match.youtube_id, []).extend(captions)
    if not found:
        shown = f", such as {unknown[0]}" if unknown else ""
        raise ValueError(f"{path}: names no clip of {official.path}{shown}")
    return Listed(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        captions={name: tuple(captions) for name, captions in found.items()},
        unknown=unknown,
        reworded=reworded,
    )


def _stem(file: str) -> str:
    name = PurePosixPath(file.replace("\\", "/")).name
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), name)


def _captions(row: Mapping[str, Any], official: tuple[Caption, ...]) -> list[Caption]:
    """Return the captions of a row with their official ids; without an id where reworded."""
    by_id = {caption.id: caption for caption in official}
    by_text = {caption.text: caption for caption in official}
    texts = next((row[key] for key in TEXTS if row.get(key)), None)
    if texts is None:
        caption = by_id.get(str(row.get("audiocap_id") or row.get("caption_id") or ""))
        return [caption] if caption else []
    texts = [
        " ".join(str(text).split()) for text in (texts if isinstance(texts, list) else [texts])
    ]
    return [by_text.get(text, Caption(id="", text=text)) for text in texts if text]


def _rows(path: Path, content: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows with their places: JSON with "data", JSON lines, or CSV."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason})") from error
    if not text.lstrip().startswith(("{", "[")):
        yield from _table(path, text)
        return
    try:
        whole = json.loads(text)
    except ValueError:
        yield from _json_lines(path, text)
        return
    rows = whole.get("data", [whole]) if isinstance(whole, dict) else whole
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        yield f"entry {number}", _object(row, path, f"entry {number}")


def _table(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = reader.fieldnames or ()
    twice = next((name for name in columns if name and list(columns).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}, line {reader.line_num}: two columns are called {twice!r}")
    for row in reader:
        if None in row:
            raise ValueError(
                f"{path}, line {reader.line_num}: more fields than the {len(columns)} columns: put "
                "a caption with commas in double quotes"
            )
        yield f"line {reader.line_num}", row


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
            yield f"line {number}", _object(row, path, f"line {number}")


def _object(row: Any, path: Path, place: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{path}, {place}: expected an object with a clip and its caption")
    return row
