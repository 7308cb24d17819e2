"""Files of prompts, row by row: tables (csv, tsv), JSON lines, and plain text."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

PROMPT_COLUMNS = ("prompt", "caption", "captions", "description", "text")
NAME_COLUMNS = ("id", "name")
NUMBER_COLUMNS = ("seed", "item", "duration", "guidance_scale")
DELIMITERS = ",;\t"

Row = tuple[int, Mapping[str, Any]]  # line, fields


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file with their lines; the suffix says what it is.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is none of what it may be: with file and line.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "is not there"
        raise FileNotFoundError(f"the prompts file {path} {what}: check the name")
    readers = {".csv": _table, ".tsv": _table, ".jsonl": _json_lines, ".txt": _text_lines}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a prompts file ends in .csv, .tsv, .jsonl or .txt")
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8{_line_of(path)}: save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise ValueError(f"{path}: {error}: is a quotation mark never closed?") from error


def _line_of(path: Path) -> str:
    """Where a file stops being UTF-8; an editor then finds it."""
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return " but in UTF-16"
        file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f" (line {number})"
    return ""


def _table(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = _delimiter(file.readline())
        file.seek(0)
        reader = csv.DictReader(file, delimiter=delimiter)
        columns = [column.strip().lower() for column in reader.fieldnames or []]
        _check_columns(path, columns)
        reader.fieldnames = columns
        for row in reader:
            if None in row:
                raise ValueError(
                    f"{path}:{reader.line_num}: more fields than the header has columns: "
                    "put a prompt with commas in double quotes"
                )
            if any(value and value.strip() for value in row.values()):
                yield reader.line_num, row
        file.seek(0)
        _check_quotes(path, file, delimiter)


def _delimiter(header: str) -> str:
    """The sign that makes columns we know out of a header; spreadsheets save semicolons too."""
    known = {*PROMPT_COLUMNS, *NAME_COLUMNS, *NUMBER_COLUMNS}

    def found(sign: str) -> int:
        return sum(cell.strip(' "\r\n').lower() in known for cell in header.split(sign))

    return max(DELIMITERS, key=found)


def _check_columns(path: Path, columns: list[str]) -> None:
    if not set(PROMPT_COLUMNS) & set(columns):
        raise ValueError(
            f"{path}:1: expected a header with a column {' or '.join(PROMPT_COLUMNS)}, "
            f"got {', '.join(filter(None, columns)) or 'nothing'}"
        )
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice:
        raise ValueError(f"{path}:1: column {twice} stands there twice: remove one")
    used = {*PROMPT_COLUMNS, *NAME_COLUMNS, *NUMBER_COLUMNS}
    unused = [name for name in columns if name and name not in used]
    if unused:
        print(f"{path}: not used: column {', '.join(unused)}", file=sys.stderr)


def _check_quotes(path: Path, file: TextIO, delimiter: str) -> None:
    """Refuse a table that ends within quotation marks, which swallowed all rows behind the first.

    Only a strict reader tells; but it also refuses harmless marks within a cell.
    """
    try:
        deque(csv.reader(file, strict=True, delimiter=delimiter), maxlen=0)
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(f"{path}: a quotation mark is never closed") from error


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}:{number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise ValueError(f'{path}:{number}: expected an object like {{"prompt": "rain"}}')
            yield number, row


def _text_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, {"prompt": line}
