"""Which clips of AudioCaps are in a folder, and what is wrong with them.

    python -m recipes.audiocaps_metrics.audit AUDIO_FOLDER --csv test.csv [--out FOLDER]

Holds every sound file below AUDIO_FOLDER against the ids of test.csv, version 1 of which has 975
clips: missing and doubled ones, files that cannot be read, are silent, too short or too long, that
hold the sound of another clip, or belong to none; rows of the table that are damaged; and what the
missing clips add to FAD. The folder is only read. Text on stdout; with --out also audit.txt and
audit.json there.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audiogen.audio import SILENCE
from audiogen.cli.names import same_file
from audiogen.command import printable
from audiogen.files import replacing
from recipes.audiocaps_metrics.audit_text import audit_text
from recipes.audiocaps_metrics.bias import LEAST, added_bias, fad_bias
from recipes.audiocaps_metrics.files import Folder
from recipes.audiocaps_metrics.hearing import Heard, same_sounds
from recipes.audiocaps_metrics.official import TestSet, read_test_set
from recipes.command import Parser, exit_code

FORMAT = 1
SECONDS = 10.0  # of a clip
TOLERANCE = 0.5  # seconds; less is how cutters and containers differ
CHANNELS = {1: "mono", 2: "stereo"}
SHORTEST = 1.0  # seconds; AudioCraft drops shorter clips, and VGGish has no window of less


def audit(folder: Path, csv_path: Path, *, progress: bool = False) -> dict[str, Any]:
    """Hold a folder against the official list; see the head of this file.

    Returns:
        What audit.json holds: plain JSON values. "usable" are the clips that can be scored.

    Raises:
        ValueError: if the folder or the table is none, or no file of the folder is a clip.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "there is no such folder"
        raise ValueError(f"{folder}: {what}")
    official = read_test_set(csv_path)
    sounds = Folder(folder, official, progress=progress)
    if not sounds.found:
        raise ValueError(_nothing(sounds, official))
    heard = {name: found.heard for name, found in sounds.found.items()}
    usable, same_name = _first_of_name(n for n, sound in heard.items() if _is_usable(sound))
    others = sounds.others | ({"locked folders": len(sounds.locked)} if sounds.locked else {})
    unread = {row["clip"] for row in sounds.unreadable}
    return {
        "format": FORMAT,
        "folder": str(folder.resolve()),
        "official": _about(official),
        "present": len(heard),
        "usable": usable,
        "missing": [name for name in official.clips if name not in heard and name not in unread],
        "unreadable": sounds.unreadable,
        **_findings(heard),
        "same_name": same_name,
        "second_files": sounds.second,
        "extra": sounds.extra,
        "other_span": sounds.other_span,
        "other_files": others,
        "names": _counted(found.variant for found in sounds.found.values()),
        "sample_rates": _counted(f"{sound.sample_rate} Hz" for sound in heard.values()),
        "channels": _counted(
            CHANNELS.get(s.channels, f"{s.channels} channels") for s in heard.values()
        ),
        "fad_bias": _bias(len(usable), len(official.clips)),
        "files": {name: found.file for name, found in sounds.found.items()},
        "sha256": {name: sound.sha256 for name, sound in heard.items()},
    }


def _about(official: TestSet) -> dict[str, Any]:
    return {
        "file": str(official.path.resolve()),
        "sha256": official.sha256,
        "version": official.version(),
        "v1": official.is_v1,
        "clips": len(official.clips),
        "captions": sum(len(clip.captions) for clip in official.clips.values()),
        "uneven": official.uneven,
        "damaged_rows": official.damaged,
    }


def _is_silent(sound: Heard) -> bool:
    return sound.peak <= SILENCE


def _is_usable(sound: Heard) -> bool:
    return not _is_silent(sound) and sound.seconds >= SHORTEST


def _first_of_name(clips: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """Split off clips whose files would be those of an earlier one: ids that differ in case alone.

    Many systems have one file for both names. The others are given with the clip that stays.
    """
    kept: dict[str, str] = {}
    twins = [
        [name, first] for name in clips if (first := kept.setdefault(same_file(name), name)) != name
    ]
    return list(kept.values()), twins


def _findings(heard: Mapping[str, Heard]) -> dict[str, Any]:
    """What is wrong with clips that can be read; those that are too short have no odd length."""
    seconds = {name: round(sound.seconds, 3) for name, sound in heard.items()}
    copies, pairs = same_sounds({n: sound for n, sound in heard.items() if not _is_silent(sound)})
    odd = {name: s for name, s in seconds.items() if abs(s - SECONDS) > TOLERANCE}
    return {
        "silent": [name for name, sound in heard.items() if _is_silent(sound)],
        "short": {name: s for name, s in odd.items() if s < SHORTEST},
        "wrong_duration": {name: s for name, s in odd.items() if s >= SHORTEST},
        "same_samples": copies,
        "same_sound": pairs,
    }


def _bias(usable: int, official: int) -> dict[str, Any]:
    """What `audiocaps_metrics.bias` says, as far as it holds."""
    found: dict[str, Any] = {
        "clips": usable,
        "at_this_n": None,
        "at_official_n": None,
        "added": None,
    }
    if min(usable, official) >= LEAST:
        own, full, added = fad_bias(usable), fad_bias(official), added_bias(usable, official)
        found["at_this_n"], found["at_official_n"] = [own.low, own.high], [full.low, full.high]
        found["added"] = [added.low, added.high]
    return found | {"share": official / usable - 1 if usable else None}  # of the bias; exact


def _nothing(sounds: Folder, official: TestSet) -> str:
    if sounds.unreadable:
        first = sounds.unreadable[0]
        return (
            f"{sounds.path}: none of the {len(sounds.unreadable)} files of clips can be read; "
            f"{first['file']}: {first['reason']}"
        )
    seen = len(sounds.extra) + len(sounds.other_span)
    shown = f", such as {printable(sounds.extra[0])}" if sounds.extra else ""
    return (
        f"{sounds.path}: none of its {seen} sound files{shown} is named like one of the "
        f"{len(official.clips)} clips of {official.path}, as Y{next(iter(official.clips))}.wav is"
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def write_audit(found: Mapping[str, Any], out: Path) -> None:
    """Write audit.json and audit.txt, each whole or not at all."""
    contents = {"audit.json": json.dumps(found, indent=1) + "\n", "audit.txt": audit_text(found)}
    for name, content in contents.items():
        with replacing(out / name) as path:
            path.write_text(content, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Audit, print; return the exit code: 2 if there is nothing that could be scored."""
    parser = Parser(
        prog="python -m recipes.audiocaps_metrics.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", type=Path, help="folder of the clips; only read")
    parser.add_argument("--csv", type=Path, required=True, help="test.csv of AudioCaps")
    parser.add_argument("--out", type=Path, help="folder for audit.txt and audit.json")
    args = parser.parse_args(argv)
    try:
        found = audit(args.audio, args.csv, progress=True)
        if args.out is not None:
            write_audit(found, args.out)
        print(audit_text(found), end="", flush=True)
        if not found["usable"]:
            raise ValueError(f"{args.audio}: no clip of it can be scored; see above")
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
