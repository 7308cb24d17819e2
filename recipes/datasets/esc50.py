"""ESC-50 -> manifest: python -m recipes.datasets.esc50 ESC-50-master --out data/esc50.

ESC-50 (K. J. Piczak, ESC: Dataset for Environmental Sound Classification, 2015) is 2000 recordings
of 5 s in 50 classes: meta/esc50.csv and audio/. ESC-10 in the same layout is taken as well, and so
are copies converted to FLAC or Ogg.

It has classes, no captions: every clip gets the sentences esc50_captions.json has for its class,
and the class as the label "class". Folds 1 to 3 train, fold 4 is valid, fold 5 is test; no
recording is in two folds. A column "split" in the table goes before the folds.

Licence: CC BY-NC 3.0; the clips that are also in ESC-10 are CC BY 3.0.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from recipes.command import Parser, exit_code
from recipes.datasets.folder import show
from recipes.datasets.prepare import MIN_FILES, Report, Sound, prepare

CAPTIONS = Path(__file__).with_name("esc50_captions.json")
COLUMNS = ("filename", "fold", "category")
SPLIT_OF_FOLD = {"1": "train", "2": "train", "3": "train", "4": "valid", "5": "test"}
SUFFIXES = (".wav", ".flac", ".ogg")
CLIP_SECONDS = 10.0  # all are shorter: every file is one clip


def prepare_esc50(
    folder: Path, out: Path, *, sample_rate: int = 16000, min_files: int = MIN_FILES
) -> Report:
    """Prepare ESC-50, see above; returns what became of it.

    Raises:
        ValueError: if the folder is not ESC-50, its table lacks a column or has an unknown fold,
            ``out`` lies in it or holds something else, or too few files can be used.
    """
    root = _root(folder)
    if root is None:
        raise ValueError(
            f"{folder}: expected meta/esc50.csv and audio/ as in ESC-50; for other sounds use "
            "python -m recipes.datasets.folder"
        )
    if out.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{out}: lies in {root}, which is only read; choose another --out")
    sounds, missing = read_sounds(root)
    return prepare(
        sounds,
        out,
        origin=f"the ESC-50 of {root.resolve()}",
        sample_rate=sample_rate,
        clip_seconds=CLIP_SECONDS,
        split_seed=0,
        missing=missing,
        min_files=min_files,
    )


def read_sounds(root: Path) -> tuple[list[Sound], list[dict[str, str]]]:
    """Return the clips of the table that have a file, and {"file", "reason"} of the others."""
    captions = json.loads(CAPTIONS.read_text(encoding="utf-8"))
    sounds: dict[str, Sound] = {}
    missing = []
    for place, row in _rows(_table(root)):
        path = _audio(root, row["filename"])
        if path is None:
            reason = f"missing: audio/ has it neither so nor with {', '.join(SUFFIXES)}"
            missing.append({"file": row["filename"], "reason": reason})
            continue
        if path.name in sounds:
            raise ValueError(f"{place}: {path.name} stands on an earlier line already")
        category = row["category"]
        sounds[path.name] = Sound(
            path=path,
            key=path.name,
            captions=tuple(captions.get(category, [category.replace("_", " ")])),
            source="esc50",
            licence="CC BY 3.0" if row.get("esc10") == "True" else "CC BY-NC 3.0",
            labels={"class": category},
            split=_split(row, place),
        )
    return list(sounds.values()), missing


def _rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield file:line and the cells of each row."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            absent = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
            if absent:
                raise ValueError(f"{table}: no column {', '.join(absent)}; has {rows.fieldnames}")
            for row in rows:
                place = f"{table}:{rows.line_num}"
                if None in row or not all(row[column] for column in COLUMNS):
                    raise ValueError(f"{place}: expected {', '.join(COLUMNS)}, got {row}")
                if Path(row["filename"]).name != row["filename"]:
                    raise ValueError(f"{place}: {row['filename']!r} is no name of a file in audio/")
                yield place, row
        except (UnicodeDecodeError, csv.Error) as error:
            place = f"{table}:{rows.line_num + 1}"
            raise ValueError(f"{place}: not a table of commas in UTF-8 ({error})") from error


def _root(folder: Path) -> Path | None:
    inside = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    candidates = [folder, *(inside if len(inside) == 1 else [])]
    return next((c for c in candidates if _table(c).is_file() and (c / "audio").is_dir()), None)


def _table(root: Path) -> Path:
    names = [root / "meta" / "esc50.csv", root / "meta" / "esc10.csv"]
    return next((name for name in names if name.is_file()), names[0])


def _audio(root: Path, name: str) -> Path | None:
    path = root / "audio" / name
    tries = (path.with_suffix(suffix or path.suffix) for suffix in ("", *SUFFIXES))
    try:
        return next((path for path in tries if path.is_file()), None)
    except OSError:  # a name longer than any file's
        return None


def _split(row: Mapping[str, str], place: str) -> str:
    split = row.get("split") or SPLIT_OF_FOLD.get(row["fold"])
    if split not in SPLIT_OF_FOLD.values():
        raise ValueError(
            f"{place}: fold {row['fold']!r} and split {split!r}; expected a fold 1 to 5"
        )
    return str(split)


def main(argv: list[str] | None = None) -> int:
    """Parse, prepare, report; return a process exit code."""
    parser = Parser(
        prog="python -m recipes.datasets.esc50",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="unpacked ESC-50; only read")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz")
    parser.add_argument("--min-files", type=int, default=MIN_FILES, help="fewer are an error")
    args = parser.parse_args(argv)
    try:
        report = prepare_esc50(
            args.folder, args.out, sample_rate=args.sample_rate, min_files=args.min_files
        )
    except (ValueError, OSError) as error:
        return exit_code(error)
    show(report, [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
