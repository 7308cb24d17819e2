"""Where prompts come from: arguments, and files of three kinds."""

import csv
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

PROMPT_COLUMNS = ("prompt", "caption", "captions", "description", "text")
UNSAFE = set('/\\:*?"<>|')


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One sound to make."""

    text: str
    seed: int
    item: int  # the sound draws from (seed, item)
    name: str | None  # of the file, without suffix; None makes one of text and seed


def gather_prompts(texts: Sequence[str], file: Path | None, *, seed: int) -> list[Prompt]:
    """Return the prompts of the command line, then those of the file.

    Prompt ``i`` of them all draws from (seed, i), as ``AudioGen.generate`` does with the same
    list; a row with a seed of its own draws from (its seed, its item or 0).

    Raises:
        ValueError: if there is none, or a row is no prompt: with file and line.
        FileNotFoundError: if there is no such file.
    """
    prompts: list[Prompt] = []
    for number, text in enumerate(texts, start=1):
        prompts.append(_prompt({"prompt": text}, f"prompt {number}", seed, len(prompts)))
    for place, row in _rows(file) if file else ():
        prompts.append(_prompt(row, place, seed, len(prompts)))
    if not prompts:
        where = f"{file} holds no prompt" if file else "no prompt given"
        raise ValueError(f'{where}: for example audiogen generate "a dog barks" --model FOLDER')
    named = [prompt.name for prompt in prompts if prompt.name]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ValueError(
            f"{file}: id or name {twice[0]} stands on more than one line: files are named so"
        )
    return prompts


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield file:line and the fields of each row."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no prompts file {path}: check the name")
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".txt": _text_rows}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a prompts file ends in .csv, .jsonl or .txt")
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: save it as UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{path}: {error}: is a quotation mark never closed?") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = [column.strip().lower() for column in reader.fieldnames or []]
        if not set(PROMPT_COLUMNS) & set(columns):
            raise ValueError(
                f"{path}:1: expected a header with a column {' or '.join(PROMPT_COLUMNS)}, "
                f"got {', '.join(columns) or 'nothing'}"
            )
        reader.fieldnames = columns
        for row in reader:
            if None in row:
                raise ValueError(
                    f"{path}:{reader.line_num}: more fields than the header has columns: "
                    "put a prompt with commas in double quotes"
                )
            yield f"{path}:{reader.line_num}", row
        file.seek(0)
        _check_quotes(path, file)


def _check_quotes(path: Path, file: TextIO) -> None:
    """Refuse a table that ends within quotation marks, which swallowed all rows behind the first.

    Only a strict reader tells; but it also refuses harmless marks within a cell.
    """
    try:
        deque(csv.reader(file, strict=True), maxlen=0)
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(f"{path}: a quotation mark is never closed") from error


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
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
            yield f"{path}:{number}", row


def _text_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield f"{path}:{number}", {"prompt": line}


def _prompt(row: Mapping[str, Any], place: str, seed: int, position: int) -> Prompt:
    found = [row[column] for column in PROMPT_COLUMNS if row.get(column)]
    text = found[0] if found else None
    if isinstance(text, list):  # the captions of a manifest; the first one is taken
        text = text[0]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{place}: no prompt in this line: expected words that describe a sound")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{place}: {text!r:.80} holds half characters: write it as UTF-8")
    own_seed, item = _integer(row, "seed", place), _integer(row, "item", place)
    return Prompt(
        text=" ".join(text.split()),
        seed=seed if own_seed is None else own_seed,
        item=position if own_seed is None else item or 0,
        name=_name(row, place),
    )


def _integer(row: Mapping[str, Any], column: str, place: str) -> int | None:
    value = row.get(column)
    if value in (None, ""):
        return None
    try:
        return int(re.sub(r"(?<=\d)\.0*$", "", str(value).strip()))  # pandas writes 1 as 1.0
    except ValueError as error:
        raise ValueError(f"{place}: {column} must be a whole number, got {value!r}") from error


def _name(row: Mapping[str, Any], place: str) -> str | None:
    column = next((key for key in ("id", "name") if row.get(key) not in (None, "")), None)
    if column is None:
        return None
    value = row[column]
    name = str(value).strip()
    plain = name.isprintable() and not name.startswith(".") and not UNSAFE & set(name)
    if not name or not plain or len(name.encode()) > 200:
        raise ValueError(
            f"{place}: {column} {name!r} cannot name a file: use letters, digits, - and _"
        )
    return name
