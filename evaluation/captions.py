"""Read what each sound was asked to be: captions by file name, from CSV or JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from evaluation.folders import Pair, shorten, sound_name

NAME_KEYS = ("name", "file", "file_name", "id")
CAPTION_KEYS = ("caption", "captions", "description")


class CaptionError(ValueError):
    """A caption file that cannot be used: file, line and what to do."""


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Map sound names to their captions, in file order.

    Args:
        path: a .csv file with a header, or a .jsonl file with one object per line. The name of a
            sound is under one of `NAME_KEYS` (with or without audio suffix), its caption under
            one of `CAPTION_KEYS`; a list, or several rows of one name, gives several captions.

    Raises:
        CaptionError: with file and line, if a row has no name or no caption.
    """
    captions: dict[str, tuple[str, ...]] = {}
    for line, row in _rows(path):
        name, texts = _field(row, NAME_KEYS), _field(row, CAPTION_KEYS)
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(name, str) or not isinstance(texts, list) or not all(map(_text, texts)):
            raise CaptionError(
                f"{path}:{line}: expected a name under one of {', '.join(NAME_KEYS)} and a "
                f"caption under one of {', '.join(CAPTION_KEYS)}, got {json.dumps(row)[:120]}"
            )
        key = sound_name(Path(name).name)
        captions[key] = captions.get(key, ()) + tuple(text.strip() for text in texts)
    return captions


def check_captions(
    pairs: list[Pair], captions: Mapping[str, tuple[str, ...]], *, path: Path
) -> None:
    """Check that every pair has a caption.

    Raises:
        CaptionError: with the count and the names of the pairs that have none.
    """
    missing = [pair.name for pair in pairs if not captions.get(pair.name)]
    if missing:
        raise CaptionError(
            f"{len(missing)} of {len(pairs)} sounds have no caption in {path}: "
            f"{shorten(missing)}. Add them, or run without --captions."
        )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise CaptionError(f"caption file {path} does not exist. Pass a .csv or .jsonl file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(lines) if path.suffix.lower() == ".csv" else _json_rows(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise CaptionError(
            f"{path} is not UTF-8 text in CSV (.csv) or JSON lines (.jsonl): {error}"
        ) from error


def _csv_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines)
    for row in reader:
        yield reader.line_num, row


def _json_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(lines, start=1):
        if text.strip():
            yield number, _object(text)


def _object(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else {"not a JSON object": text.strip()}


def _field(row: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if row.get(key)), None)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
