"""Tables of facts about sounds: rows of a CSV file, or of a file of JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

NAME_KEYS = ("name", "file", "file_name", "filename", "id")


def read_rows(
    path: Path, *, what: str, error: type[ValueError]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row) of a .csv file with a header, or of one JSON object per line.

    Args:
        path: the file; everything but .csv is read as JSON lines.
        what: what the file is to the reader of an error, such as "caption".
        error: the exception to raise.

    Raises:
        ValueError: as ``error``, if there is no such file or it is not text in either format.
    """
    if not path.is_file():
        raise error(f"{what} file {path} does not exist. Pass a .csv or .jsonl file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(lines) if path.suffix.lower() == ".csv" else _json_rows(lines)
    except (UnicodeDecodeError, csv.Error) as reason:
        raise error(
            f"{path} is not UTF-8 text in CSV (.csv) or JSON lines (.jsonl): {reason}"
        ) from reason


def field(row: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return the first filled field of a row among some names; None if none is."""
    return next((row[key] for key in keys if row.get(key) not in (None, "", [])), None)


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
