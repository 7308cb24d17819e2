"""The official list of AudioCaps clips: test.csv of its authors, as every user has it.

A row is a caption: audiocap_id, youtube_id, start_time, caption. The test set of version 1 is 975
clips with five captions each. Rows that cannot be used are named, with their line; the clips they
were of may have other rows.
"""

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
CAPTIONS = 5  # of every clip of the test set
V1_CLIPS = 975
V1_SHA256 = "33cdc54597d6fb13937815084b995ad7ee150c5e921dc5859c561bc545b6bdb0"  # see clips_sha256
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
SPREADSHEET = re.compile(r"#\w+[?!]?|-?\d(\.\d+)?e[+-]?\d+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """One of the sentences that describe a clip."""

    id: str  # audiocap_id
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Ten seconds of a video."""

    youtube_id: str
    start: float  # seconds
    captions: tuple[Caption, ...]

    @property
    def name(self) -> str:
        """What its files are called: with a Y before it, no id begins with a hyphen."""
        return f"Y{self.youtube_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TestSet:
    """The clips of a csv file, by youtube id, in the order of its rows."""

    path: Path
    sha256: str  # of the file
    clips: dict[str, Clip]
    damaged: list[str] = field(default_factory=list)  # "line 7: what is wrong with it"

    @property
    def is_v1(self) -> bool:
        """Whether these are the clips of version 1, all of them and no other."""
        return clips_sha256(self.clips.values()) == V1_SHA256

    @property
    def uneven(self) -> list[str]:
        """Ids of clips that have more or fewer captions than five."""
        return [name for name, clip in self.clips.items() if len(clip.captions) != CAPTIONS]

    def version(self) -> str:
        """Say which test set this is, as far as its clips tell."""
        if self.is_v1:
            return f"version 1, all {V1_CLIPS} clips"
        return f"not the clips of version 1: {len(self.clips)} clips instead of {V1_CLIPS}"


def clips_sha256(clips: Iterable[Clip]) -> str:
    """Return the sha256 of the sorted lines "youtube_id,start", captions left out."""
    lines = sorted(f"{clip.youtube_id},{clip.start:g}" for clip in clips)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_test_set(path: Path) -> TestSet:
    """Read a test.csv of AudioCaps.

    Raises:
        ValueError: if there is no such table, a column is missing, or no row of it can be used.
    """
    content, lines = _lines(path)
    header = next(csv.reader(lines[:1]), [])
    names = [name.strip().lower() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)} in its first line, which is "
            f"{''.join(lines[:1]).strip()[:80]!r}; give the test.csv of AudioCaps"
        )
    twice = next((column for column in COLUMNS if names.count(column) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: two columns are called {twice}; give the test.csv of AudioCaps")
    damaged: list[str] = []
    found: dict[str, tuple[float, list[Caption]]] = {}
    seen: dict[str, int] = {}  # audiocap_id -> line
    for number, cells in _rows(lines, damaged):
        row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
        problem = _problem(row, cells, names, found, seen)
        if problem:
            damaged.append(f"line {number}: {problem}")
            continue
        seen[row["audiocap_id"]] = number
        _, captions = found.setdefault(row["youtube_id"], (float(row["start_time"]), []))
        captions.append(Caption(id=row["audiocap_id"], text=" ".join(row["caption"].split())))
    if not found:
        raise ValueError(f"{path}: none of its rows can be used: {'; '.join(damaged[:3]) or 'no'}")
    clips = {
        name: Clip(youtube_id=name, start=start, captions=tuple(captions))
        for name, (start, captions) in found.items()
    }
    sha256 = hashlib.sha256(content).hexdigest()
    return TestSet(path=path, sha256=sha256, clips=clips, damaged=damaged)


def _lines(path: Path) -> tuple[bytes, list[str]]:
    if not path.is_file():
        raise ValueError(
            f"{path}: there is no such file; give the test.csv of AudioCaps with --csv"
        )
    content = path.read_bytes()
    try:
        return content, re.split(r"\r\n|\n|\r", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); download it again") from error


def _rows(lines: Sequence[str], damaged: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the header with their lines.

    Each line is read on its own, as no caption has a line break: a quotation mark that is never
    closed costs its row and not all that follow.
    """
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            damaged.append(f"line {number}: not CSV ({error}): {line.strip()[:60]!r}")
            continue
        if any(cell.strip() for cell in cells):
            yield number, cells


def _problem(
    row: dict[str, str],
    cells: Sequence[str],
    names: Sequence[str],
    found: dict[str, tuple[float, list[Caption]]],
    seen: dict[str, int],
) -> str | None:
    """Say what is wrong with a row; None if nothing is."""
    if len(cells) != len(names):
        return f"{len(cells)} cells instead of {len(names)}"
    youtube_id, caption_id = row["youtube_id"], row["audiocap_id"]
    problem = _id_problem(youtube_id)
    start = _seconds(row["start_time"])
    if problem:
        return problem
    if start is None:
        return f"start_time {row['start_time'][:40]!r} is no number of seconds"
    if not caption_id or not row["caption"] or "\0" in row["caption"]:
        return f"no {'caption' if caption_id else 'audiocap_id'} of {youtube_id}"
    if caption_id in seen:
        return f"audiocap_id {caption_id} is on line {seen[caption_id]} too"
    if youtube_id in found and found[youtube_id][0] != start:
        return f"{youtube_id} begins at {found[youtube_id][0]:g} s on another line, not {start:g} s"
    return None


def _id_problem(youtube_id: str) -> str | None:
    if SPREADSHEET.fullmatch(youtube_id):
        return f"youtube_id {youtube_id!r} is what a spreadsheet made of an id: download it again"
    if not YOUTUBE_ID.fullmatch(youtube_id):
        return f"youtube_id {youtube_id[:40]!r} is not 11 letters, digits, - and _"
    return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
