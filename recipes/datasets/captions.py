"""Where the caption of a sound in somebody's folder comes from: a table, a side-car, its name."""

import csv
import html
import json
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

FILE_COLUMNS = ("file", "filename", "file_name", "path", "file_path", "filepath", "name", "fname")
CAPTION_COLUMNS = ("caption", "captions", "text", "description")
NUMBERED_CAPTION = re.compile(r"captions?[_ ]?\d+")
SIDE_CARS = (".txt", ".json")
MAX_CAPTION = 2000  # characters, the limit of a manifest

# How it was recorded or filed, not what sounds.
NOT_SOUND = re.compile(
    "aiff?|ambix|binaural|copy|edit|final|flac|fuma|k?hz|lcrlsrslf|mono|mp3|ms|ogg|ortf|stereo|take"
    "|tk|ver|version|wave?|xy"
)
# Names that recorders and people give where they do not say what it is; and those of folders, of
# which "train" is far more often a split than a railway.
NOT_SAYING = re.compile(
    "a|the|audio|clips?|files?|memo|new|rec|record(ing)?s?|samples?|sfx|sounds?"
    "|tracks?|untitled|zoom"
)
NOT_SAYING_FOLDER = re.compile(NOT_SAYING.pattern + "|data|dev|eval|test|train|valid(ation)?|wavs?")
UCS_CATEGORY = re.compile(r"([A-Z]{2,8})([A-Z][a-z][A-Za-z]*)(-.*)?")


def read_table(path: Path) -> dict[str, list[str]]:
    """Read captions from a table with a header: file name -> captions, in the order of its rows.

    The file column is called file, filename, path or name; the caption column caption, captions,
    text or description, or there are several: caption_1, caption_2. Commas, semicolons, tabs and
    bars separate columns. A file may have many rows. A cell may be a JSON list.

    Raises:
        ValueError: if there is no such table, a column is missing (naming those it has) or there
            twice, a row has more cells than there are columns, or a cell is no caption (naming the
            line).
    """
    lines = _text(path).splitlines(keepends=True)
    header, delimiter = _header(path, lines)
    names = [column.strip().lower() for column in header]
    file_column = next(names.index(name) for name in FILE_COLUMNS if name in names)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}:1: two columns are called {twice!r}: leave one")
    caption_columns = [i for i, name in enumerate(names) if _is_caption(name)]
    table: dict[str, list[str]] = {}
    for place, row in _rows(path, lines, delimiter):
        if any(cell.strip() for cell in row[len(names) :]):
            raise ValueError(
                f"{place}: {len(row)} fields for {len(names)} columns: put a caption that holds "
                f"{delimiter!r} in double quotes"
            )
        if len(row) > file_column and row[file_column].strip():
            cells = [row[i] for i in caption_columns if i < len(row)]
            try:
                captions = [c for cell in cells for c in _captions(_json_list(cell))]
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            table.setdefault(_key(row[file_column]), []).extend(captions)
    return table


def look_up(table: Mapping[str, list[str]], key: str) -> tuple[str | None, list[str]]:
    """Find a file, named by its path inside the folder: (the name it goes by, its captions).

    A table may name files by that path, or by the bare file name, with or without the suffix.
    """
    path = PurePosixPath(_key(key))
    # Not with_suffix and stem of odd names: "a.b" is a whole name as well.
    tries = [str(path), path.name, str(path.with_suffix("")), path.stem]
    for name in tries + [name.strip() for name in tries]:
        if name in table:
            return name, table[name]
    return None, []


def read_side_car(path: Path) -> list[str]:
    """Read the captions beside an audio file: x.txt (one per line) or x.json, else x.wav.txt ...

    Raises:
        ValueError: if there is a side-car that holds no usable caption, naming it.
    """
    for suffix in SIDE_CARS:
        for car in (path.with_suffix(suffix), path.with_name(path.name + suffix)):
            if not _is_file(car):
                continue
            try:
                captions = _captions(_side_car(car))
            except (ValueError, OSError) as error:
                raise ValueError(f"{car}: cannot be used ({error})") from error
            if not captions:
                raise ValueError(f"{car}: holds no caption")
            return captions
    return []


def caption_from_name(key: str) -> str | None:
    """Make a caption of the name of a file, or None where the name says nothing.

    Separators and camelCase become blanks; numbers, takes, sample rates, microphone and channel
    tags, vendor codes and other words with digits inside go; the rest is lower-cased. Names of the
    Universal Category System (CatID_FXName_Creator_Source) give FXName and the subcategory. A
    name of fewer than two words is put behind the name of its folder, if that says something.

    >>> caption_from_name("dog_bark-01.wav"), caption_from_name("dog/003.wav")
    ('dog bark', 'dog')
    >>> caption_from_name("ANMLDog_Big Bark 01_KJP_ESC10.wav"), caption_from_name("0001.wav")
    ('dog big bark', None)
    """
    path = PurePosixPath(key)
    words = _ucs_words(path.stem) or _words(path.stem)
    if all(NOT_SAYING.fullmatch(word) for word in words):
        words = []
    if len(words) < 2 and len(path.parts) > 1:
        folder = [word for word in _words(path.parts[-2]) if word not in words]
        if not all(NOT_SAYING_FOLDER.fullmatch(word) for word in folder):
            words = folder + words
    return " ".join(words)[:MAX_CAPTION] or None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: the table of captions cannot be read ({error.strerror})"
        ) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not the UTF-16 it says it is ({error.reason})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what spreadsheets save where they do not say


def _rows(path: Path, lines: list[str], delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Yield file:line and the cells of each row below the header."""
    reader = csv.reader(lines[1:], delimiter=delimiter)
    begin = 2
    try:
        for row in reader:
            yield f"{path}:{reader.line_num + 1}", row
            last, begin = begin, reader.line_num + 2
    except csv.Error as error:
        raise ValueError(f"{path}:{begin}: {error}; is a quotation mark never closed?") from error
    try:
        # Only a strict reader tells that the file ends within quotation marks, which would have
        # swallowed all rows behind the first of them.
        deque(csv.reader(lines, delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(f"{path}:{last}: a quotation mark is never closed") from error


def _header(path: Path, lines: list[str]) -> tuple[list[str], str]:
    """The header and the delimiter that makes a file and a caption column of it."""
    for delimiter in ",;\t|":
        header = next(csv.reader(lines[:1], delimiter=delimiter), [])
        names = [column.strip().lower() for column in header]
        if set(names) & set(FILE_COLUMNS) and any(_is_caption(name) for name in names):
            return header, delimiter
    raise ValueError(
        f"{path}: the first line must name a file column ({', '.join(FILE_COLUMNS)}) and a caption "
        f"column ({', '.join(CAPTION_COLUMNS)}); it is: {''.join(lines[:1]).strip()[:200]!r}"
    )


def _is_caption(name: str) -> bool:
    return name in CAPTION_COLUMNS or NUMBERED_CAPTION.fullmatch(name) is not None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have, such as a sound's with a suffix too many
        return False


def _key(name: str) -> str:
    # macOS writes decomposed accents, tables are mostly composed. Blanks at the ends stay: they
    # are part of some names.
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")


def _json_list(cell: str) -> Any:
    try:
        value = json.loads(cell) if cell.lstrip().startswith("[") else cell
    except ValueError:
        return cell
    return value


def _side_car(path: Path) -> Any:
    text = _text(path)
    if path.suffix == ".txt":
        return text.splitlines()
    content = json.loads(text)
    if not isinstance(content, dict):
        return content
    return next((content[key] for key in CAPTION_COLUMNS if content.get(key)), [])


def _captions(value: Any) -> list[str]:
    """Text, or a list of it, without needless blanks; raises ValueError for what is no caption."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(caption, str) for caption in values):
        raise ValueError(f"a caption must be text, got {value!r:.80}")
    captions = [" ".join(caption.split()) for caption in values]
    if any(len(caption) > MAX_CAPTION for caption in captions):
        raise ValueError(f"a caption is longer than {MAX_CAPTION} characters")
    return [caption for caption in captions if caption]


def _ucs_words(stem: str) -> list[str]:
    blocks = stem.split("_")
    category = UCS_CATEGORY.fullmatch(blocks[0])
    if len(blocks) < 4 or category is None:
        return []
    words = _words(blocks[1])
    sub = category[2].lower()
    known = sub == "misc" or any(word.startswith(sub[:3]) for word in words)
    return words if known else [sub, *words]


def _words(name: str) -> list[str]:
    name = html.unescape(unicodedata.normalize("NFC", name)).replace("\u2019", "'")
    runs = re.findall(r"[^\W_]+(?:'[^\W_]+)*", name)
    return [word for run in runs for word in _run_words(run)]


def _run_words(run: str) -> list[str]:
    """The words of a run of letters and digits, without what does not sound."""
    if NOT_SOUND.fullmatch(run.lower()) or re.fullmatch(r"[A-Z]{2,}\d{2,}\w*", run):
        return []  # a tag; the code of a vendor or a microphone
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", run).lower().split()
    words = (re.sub(r"\d+$", "", part) for part in parts)
    return [word for word in words if word and not _is_noise(word)]


def _is_noise(word: str) -> bool:
    lone = len(word) < 2 and word.isascii() and word != "a"
    return lone or any(c.isdigit() for c in word) or NOT_SOUND.fullmatch(word) is not None
