"""Any folder of sounds -> manifest: python -m recipes.datasets.folder SOUNDS --out data/mine.

Every wav, flac, ogg, opus, mp3, aiff or w64 file below SOUNDS becomes a mono FLAC file in OUT/audio
and one clip of OUT/manifest.jsonl, or several if it is long. SOUNDS itself is only read. Files that
are of no use are listed in OUT/skipped.jsonl, each with its reason.

Captions are taken from the first of these that has one for a file:
  a table (--captions, or a captions.csv in SOUNDS): a column file, filename, path or name, and a
    column caption, captions, text or description; a file may have several rows
  a side-car: bark.txt (one caption per line) or bark.json (keys as above) beside bark.wav
  its name: "dog_bark-01.wav" is "dog bark"; "dog/003.wav" is "dog"

A file goes to train, valid or test as a whole, by its content: about 80, 10 and 10 percent, and at
least one to each split from three files on (two files make train and valid, one is train). Takes of
one sound in several files may be divided. Where all files lie in sub-folders, two or more of them,
the name of the sub-folder is also kept as the label "class".
"""

import argparse
import json
import os
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from recipes.command import Parser, exit_code
from recipes.datasets.captions import (
    SIDE_CARS,
    caption_from_name,
    look_up,
    read_side_car,
    read_table,
)
from recipes.datasets.prepare import MIN_FILES, Report, Sound, prepare

READABLE = re.compile(r"\.(wave?|bwf|rf64|flac|og[ga]|opus|mp3|aif[fc]?|w64|au|caf)", re.IGNORECASE)
UNREADABLE = re.compile(r"\.(m4a|mp4|aac|wma|webm|mka|ape|wv|amr)", re.IGNORECASE)
SHOWN = 3  # examples in a note


def prepare_folder(
    sounds: Path,
    out: Path,
    *,
    captions: Path | None = None,
    source: str | None = None,
    licence: str = "unknown",
    sample_rate: int = 16000,
    clip_seconds: float = 10.0,
    split_seed: int = 0,
    min_files: int = MIN_FILES,
) -> tuple[Report, list[str]]:
    """Prepare a folder of sounds, see above; returns what became of it, and notes for the user.

    Raises:
        ValueError: if there is no such folder, ``out`` lies in it or holds something else, the
            table of captions cannot be used, or too few files can.
    """
    if not sounds.is_dir():
        what = "is a file, not a folder" if sounds.exists() else "there is no such folder"
        raise ValueError(f"{sounds}: {what}")
    if out.resolve().is_relative_to(sounds.resolve()):
        raise ValueError(f"{out}: lies in {sounds}, which is only read; choose another --out")
    found, other = list_files(sounds)
    table = captions or next(iter(sounds.glob("captions.csv")), None)
    texts, notes = find_captions(found, {} if table is None else read_table(table), table)
    classes = class_labels(found)
    items = [
        Sound(
            path=path,
            key=key,
            captions=tuple(texts[key]),
            source=source or sounds.resolve().name,
            licence=licence,
            labels={"class": classes[key]} if classes else {},
            split=None,
        )
        for key, path in found.items()
        if READABLE.fullmatch(path.suffix)
    ]
    missing = [
        {"file": key, "reason": f"{path.suffix} files cannot be read; convert it to wav or flac"}
        for key, path in found.items()
        if UNREADABLE.fullmatch(path.suffix)
    ]
    missing += locked_folders(sounds)
    report = prepare(
        items,
        out,
        origin=f"the folder {sounds.resolve()}",
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
        split_seed=split_seed,
        missing=missing,
        min_files=min_files,
    )
    ignored = ", ".join(f"{count} {kind}" for kind, count in other.items() if count)
    return report, [*notes, f"passed over: {ignored}"] if ignored else notes


def list_files(folder: Path) -> tuple[dict[str, Path], Counter[str]]:
    """Return the sound files below a folder by POSIX path, sorted, and how many others there are.

    Files that hold captions, captions.csv and side-cars, are neither.
    Hidden files and folders are passed over, among them the "._" companions and the __MACOSX
    folder that macOS puts into archives.
    """
    found: dict[str, Path] = {}
    other = Counter({"hidden files": 0, "other files": 0})
    rest = []
    for path in _walk(folder):
        inside = path.relative_to(folder)
        if any(part.startswith(".") or part == "__MACOSX" for part in inside.parts):
            other["hidden files"] += 1
        elif READABLE.fullmatch(path.suffix) or UNREADABLE.fullmatch(path.suffix):
            # A name may hold bytes that are no text; a report has to show it all the same.
            found[os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace")] = path
        elif inside != Path("captions.csv"):
            rest.append(path)
    beside = {name for path in found.values() for name in (path, path.with_suffix(""))}
    cars = [p for p in rest if p.suffix in SIDE_CARS and p.with_suffix("") in beside]
    other["other files"] = len(rest) - len(cars)
    return dict(sorted(found.items())), other


def find_captions(
    found: Mapping[str, Path], table: Mapping[str, list[str]], table_path: Path | None
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the captions of every file, and notes on what could not be used."""
    texts: dict[str, list[str]] = {}
    used, problems, told = set(), [], Counter[str]()
    for key, path in found.items():
        name, captions = look_up(table, key)
        used.add(name)
        told[str(table_path)] += bool(captions)
        if not captions:
            try:
                captions = read_side_car(path)
                told["the text or JSON files beside them"] += bool(captions)
            except ValueError as error:
                problems.append(str(error))
        if not captions:
            guess = caption_from_name(key)
            captions = [guess] if guess else []
            told["their names"] += bool(captions)
        texts[key] = captions
    unused = [name for name in table if name not in used]
    if table and len(unused) == len(table):
        raise ValueError(f"{table_path}: none of its {len(table)} names is a file: {_some(unused)}")
    notes = [f"captions of {n} files are from {where}" for where, n in told.items() if n]
    if unused:
        notes.append(f"{len(unused)} files it names are not there: {_some(unused)}")
    if problems:
        notes.append(f"{len(problems)} side-cars not used: {_some(problems)}")
    return texts, notes


def class_labels(found: Mapping[str, Path]) -> dict[str, str]:
    """The sub-folder of every file, if all files lie in sub-folders and there are two or more."""
    classes = {key: PurePosixPath(key).parent.name for key in found}
    return classes if all(classes.values()) and len(set(classes.values())) > 1 else {}


def locked_folders(folder: Path) -> list[dict[str, str]]:
    """Return {"file", "reason"} of the folders below ``folder`` that cannot be looked into.

    Raises:
        PermissionError: if it is ``folder`` itself.
    """
    errors: list[OSError] = []
    deque(_walk(folder, errors.append), maxlen=0)
    for error in errors:
        if Path(error.filename) == folder:
            raise error
    return [
        {
            "file": f"{Path(error.filename).relative_to(folder).as_posix()}/",
            "reason": f"folder cannot be read ({error.strerror}); change its permissions",
        }
        for error in errors
    ]


def _walk(folder: Path, refused: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    seen = set()
    for root, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders.sort()  # of two links to one folder, the same one every time
        yield from (Path(root, name) for name in files)


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (", ..." if len(texts) > SHOWN else "")


def show(report: Report, notes: list[str]) -> None:
    """Tell people on stderr and programs on stdout what became of a data set."""
    total = sum(report.clips.values())
    splits = ", ".join(f"{split} {count}" for split, count in report.clips.items())
    lines = [f"{total} clips of {report.files} files: {splits}"]
    if report.uncaptioned:
        lines.append(f"{report.uncaptioned} clips have no caption and teach the codec only")
    if report.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.skipped.items())
        listed = report.manifest.with_name("skipped.jsonl")
        lines.append(f"{sum(report.skipped.values())} files skipped ({kinds}), see {listed}")
    print("\n".join([*lines, *notes]), file=sys.stderr)
    summary = {
        "manifest": str(report.manifest),
        "files": report.files,
        "clips": dict(report.clips),
        "uncaptioned": report.uncaptioned,
        "skipped": dict(report.skipped),
    }
    print(json.dumps(summary, ensure_ascii=False))


def main(argv: list[str] | None = None) -> int:
    """Parse, prepare, report; return a process exit code."""
    parser = Parser(
        prog="python -m recipes.datasets.folder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sounds", type=Path, help="folder of sounds; only read")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--captions", type=Path, help="table of captions")
    parser.add_argument("--source", help="name of the collection; else the name of the folder")
    parser.add_argument("--licence", default="unknown", help="of the sounds")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz")
    parser.add_argument("--clip-seconds", type=float, default=10.0, help="longer files are cut")
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--min-files", type=int, default=MIN_FILES, help="fewer are an error")
    args = vars(parser.parse_args(argv))
    try:
        show(*prepare_folder(args.pop("sounds"), args.pop("out"), **args))
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
