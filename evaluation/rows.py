"""Tables of facts about sounds: rows of a CSV file, or of a file of JSON lines."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

NAME_KEYS = ("name", "file", "file_name", "filename", "id")


class RowError(ValueError):
    """A row, or the header, that cannot be read in one way: its line, and what to do."""


def read_rows(
    path: Path, *, what: str, error: type[ValueError]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row) of a .csv file with a header, or of one JSON object per line.

    Args:
        path: the file; everything but .csv is read as JSON lines.
        what: what the file is to the reader of an error, such as "caption".
        error: the exception to raise.

    Raises:
        ValueError: as ``error``, if there is no such file or it is not text in either format; or
            for what would be lost without a word: a row of more fields than columns, and two
            columns, or two keys of an object, of one name.
    """
    if not path.is_file():
        raise error(f"{what} file {path} does not exist. Pass a .csv or .jsonl file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
            yield from read(lines)
    except RowError as reason:
        raise error(f"{path}:{reason}") from reason
    except (UnicodeDecodeError, csv.Error) as reason:
        raise error(
            f"{path} is not UTF-8 text in CSV (.csv) or JSON lines (.jsonl): {reason}"
        ) from reason


def field(row: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return the first filled field of a row among some names; None if none is."""
    return next((row[key] for key in keys if row.get(key) not in (None, "", [])), None)


def _csv_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or ()
    twice = _twice(name for name in columns if name.strip())
    if twice is not None:
        raise RowError(f"{reader.line_num}: two columns are called {twice!r}. Leave one.")
    for row in reader:
        beyond: Any = row.pop(None, ())
        if beyond:
            raise RowError(
                f"{reader.line_num}: {len(columns) + len(beyond)} fields for {len(columns)} "
                "columns. Put a text with commas in double quotes."
            )
        yield reader.line_num, row


def _json_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(lines, start=1):
        if text.strip():
            yield number, _object(text, number)


def _object(text: str, number: int) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = _twice(key for key, _ in pairs)
        if twice is not None:
            raise RowError(f"{number}: the key {twice!r} is there twice. Leave one.")
        return dict(pairs)

    try:
        row = json.loads(text, object_pairs_hook=unique)
    except RowError:
        raise
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else {"not a JSON object": text.strip()}


def _twice(names: Iterable[str]) -> str | None:
    """Return the first name that is there twice; None if none is."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
