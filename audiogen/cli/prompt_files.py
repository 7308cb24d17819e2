"""Files of prompts, row by row: tables (csv, tsv), JSON lines, and plain text."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from audiogen.command import printable

PROMPT_COLUMNS = ("prompt", "caption", "captions", "description", "text")
NAME_COLUMNS = ("id", "name")
NUMBER_COLUMNS = ("seed", "item", "duration", "guidance_scale")
DELIMITERS = ",;\t"

Row = tuple[int, Mapping[str, Any]]  # line, fields


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file with their lines; the suffix says what it is.

    "-" is stdin. What has no suffix because it is a pipe is known by its first line.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is none of what it may be: with file and line.
    """
    streamed = is_stdin(path) or path.is_fifo()
    if not streamed and not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "is not there: check the name"
        if path.exists() and not path.is_dir():
            what = "is a device, neither a file nor a pipe"
        raise FileNotFoundError(f"the prompts file {path} {what}")
    readers = {".csv": _table, ".tsv": _table, ".jsonl": _json_lines, ".txt": _text_lines}
    suffix = path.suffix.lower()
    if suffix not in readers and not streamed:
        raise ValueError(f"{path}: a prompts file ends in .csv, .tsv, .jsonl or .txt")
    place = place_of(path)
    text = _decoded(sys.stdin.buffer.read() if is_stdin(path) else path.read_bytes(), place)
    if suffix not in readers:
        suffix = _kind_of(text)
    try:
        yield from readers[suffix](place, text)
    except csv.Error as error:
        raise ValueError(f"{place}: {error}: is a quotation mark never closed?") from error


def is_stdin(path: Path) -> bool:
    """Whether it names what is piped or typed into the program."""
    return str(path) in ("-", "/dev/stdin")


def place_of(path: Path) -> str:
    """What a file is called in a message."""
    return "stdin" if is_stdin(path) else str(path)


def _decoded(data: bytes, place: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf_16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        where = " but in UTF-16" if utf_16 else f" (line {line})"
        raise ValueError(f"{place} is not text in UTF-8{where}: save it as UTF-8") from error
    if (at := text.find("\0")) >= 0:  # UTF-16 without a mark is full of them
        line = text.count("\n", 0, at) + 1
        raise ValueError(f"{place}:{line}: not text, it holds NUL characters: save it as UTF-8")
    return text


def _kind_of(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    cells = {cell.strip(' "\r').lower() for cell in first.split(_delimiter(first))}
    if first.startswith("{"):
        return ".jsonl"
    return ".csv" if cells & set(PROMPT_COLUMNS) else ".txt"


def _table(place: str, text: str) -> Iterator[Row]:
    file = StringIO(text, newline="")
    delimiter = _delimiter(file.readline())
    file.seek(0)
    reader = csv.DictReader(file, delimiter=delimiter)
    columns = [column.strip().lower() for column in reader.fieldnames or []]
    _check_columns(place, columns)
    reader.fieldnames = columns
    for row in reader:
        if None in row:
            raise ValueError(
                f"{place}:{reader.line_num}: more fields than the header has columns: "
                "put a prompt with commas in double quotes"
            )
        if any(value and value.strip() for value in row.values()):
            yield reader.line_num, row
    file.seek(0)
    _check_quotes(place, file, delimiter)


def _delimiter(header: str) -> str:
    """The sign that makes columns we know out of a header; spreadsheets save semicolons too."""
    known = {*PROMPT_COLUMNS, *NAME_COLUMNS, *NUMBER_COLUMNS}

    def found(sign: str) -> int:
        return sum(cell.strip(' "\r\n').lower() in known for cell in header.split(sign))

    return max(DELIMITERS, key=found)


def _check_columns(place: str, columns: list[str]) -> None:
    if not set(PROMPT_COLUMNS) & set(columns):
        raise ValueError(
            f"{place}:1: expected a header with a column {' or '.join(PROMPT_COLUMNS)}, "
            f"got {', '.join(filter(None, columns)) or 'nothing'}"
        )
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice:
        raise ValueError(f"{place}:1: column {twice} stands there twice: remove one")
    used = {*PROMPT_COLUMNS, *NAME_COLUMNS, *NUMBER_COLUMNS}
    unused = [name for name in columns if name and name not in used]
    if unused:
        print(printable(f"{place}: not used: column {', '.join(unused)}"), file=sys.stderr)


def _check_quotes(place: str, file: TextIO, delimiter: str) -> None:
    """Refuse a table that ends within quotation marks, which swallowed all rows behind the first.

    Only a strict reader tells; but it also refuses harmless marks within a cell.
    """
    try:
        deque(csv.reader(file, strict=True, delimiter=delimiter), maxlen=0)
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(f"{place}: a quotation mark is never closed") from error


def _json_lines(place: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(StringIO(text, newline=None), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place}:{number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise ValueError(f'{place}:{number}: expected an object like {{"prompt": "rain"}}')
        yield number, row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands there twice: remove one")
    return row


def _text_lines(place: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(StringIO(text, newline=None), start=1):
        if line.strip():
            yield number, {"prompt": line}
