"""Pair the files of two folders by name; refuse to score a set with holes in it."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
UNREAD_SUFFIXES = (  # sounds too, which are not scored and have to be said
    ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".bwf", ".caf", ".m4a", ".mka", ".oga",
    ".opus", ".rf64", ".w64", ".wma",
)  # fmt: skip


class FolderError(ValueError):
    """Two folders that cannot be paired: what is wrong with which files, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A generated sound and the recording it answers to."""

    name: str  # file name without its audio suffix, Unicode NFC
    reference: Path
    generated: Path


def pair_folders(reference: Path, generated: Path, *, allow_extra: bool = False) -> list[Pair]:
    """Pair the sounds of two folders by file name without suffix, sorted by name.

    Hidden files and files without an audio suffix are ignored; subfolders are not entered. What is
    a sound all the same is found by `unread_sounds`.

    Args:
        reference: folder of reference sounds; it defines the set that is scored.
        generated: folder of generated sounds.
        allow_extra: accept generated files that no reference asks for, and leave them out.

    Raises:
        FolderError: if a folder is missing or empty, the two are one folder, two files share a
            name, or a reference has no generated file. Scoring the files that happen to exist
            would flatter a run that died half way.
    """
    references, candidates = list_sounds(reference), list_sounds(generated)
    if reference.resolve() == generated.resolve():
        raise FolderError(
            f"reference and generated are one folder, {reference}: pass two different folders."
        )
    missing = sorted(references.keys() - candidates.keys())
    if missing:
        raise FolderError(
            f"{len(missing)} of {len(references)} reference files have no counterpart in "
            f"{generated}: {shorten(missing)}. Generate them, or score a subset by passing a "
            "smaller reference folder."
        )
    extra = extra_names(references, candidates)
    if extra and not allow_extra:
        raise FolderError(
            f"{len(extra)} of {len(candidates)} generated files have no counterpart in "
            f"{reference}: {shorten(extra)}. Remove them, or leave them out with --allow-extra."
        )
    return [
        Pair(name=name, reference=references[name], generated=candidates[name])
        for name in sorted(references)
    ]


def list_sounds(folder: Path) -> dict[str, Path]:
    """Map the name of each sound in a folder to its path.

    Raises:
        FolderError: if the folder is missing, holds no sound, has two files of one name, or the
            name of a sound that is no file, such as a link to nothing.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FolderError(f"folder {folder} {what}. Pass a folder of {_suffixes()} files.")
    sounds: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_sound(path):
            continue
        name = sound_name(path.name)
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise FolderError(f"{folder} has a file whose name is no text: {name!r}. {_as_text()}")
        if name in sounds:
            raise FolderError(
                f"{folder} has two files named {name!r}: {sounds[name].name} and {path.name}. "
                "Keep one of them."
            )
        sounds[name] = path
    if not sounds:
        others = list(unread_sounds(folder))
        found = f" It has {len(others)} others: {shorten(others)}." if others else ""
        raise FolderError(
            f"folder {folder} has no {_suffixes()} files. Files in subfolders and hidden files "
            f"are not read.{found}"
        )
    return sounds


def unread_sounds(folder: Path, *, beside: Path | None = None) -> dict[str, str]:
    """Map what looks like a sound but is not scored, by path in the folder, to the reason.

    Args:
        folder: of sounds; hidden files and folders in it are passed over.
        beside: a folder that is read on its own, should it lie within.
    """
    own = None if beside is None else beside.resolve()
    found = {}
    for place, folders, files in os.walk(folder):
        inside = Path(place)
        folders[:] = [
            name for name in folders if name[0] != "." and (inside / name).resolve() != own
        ]
        for path in (inside / name for name in files if name[0] != "."):
            suffix = path.suffix.lower()
            if inside != folder and suffix in (*AUDIO_SUFFIXES, *UNREAD_SUFFIXES):
                found[str(path.relative_to(folder))] = "in a subfolder"
            elif suffix in UNREAD_SUFFIXES:
                found[path.name] = f"{suffix[1:]} is not one of {_suffixes()}"
    return dict(sorted(found.items()))


def extra_names(references: Iterable[str], candidates: Iterable[str]) -> list[str]:
    """Return the sorted names of generated sounds that no reference asks for."""
    return sorted(set(candidates) - set(references))


def is_sound(path: Path) -> bool:
    """Tell whether a path is a visible file with an audio suffix, in upper or lower case.

    Raises:
        FolderError: if it is named like a sound, and is neither a file nor a folder.
    """
    if path.suffix.lower() not in AUDIO_SUFFIXES or path.name.startswith("."):
        return False
    if _is(path.is_file):
        return True
    if _is(path.is_dir):
        return False
    what = "a link that leads to no file" if path.is_symlink() else "not a file"
    raise FolderError(f"{path} is named like a sound, and is {what}. Put it right or remove it.")


def _as_text() -> str:
    """Say how to make a name text that is none."""
    encoding = sys.getfilesystemencoding()
    if encoding.replace("-", "").lower() == "utf8":
        return "Rename it."
    return f"Names are read as {encoding} here: set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or rename it."


def _is(question: Callable[[], bool]) -> bool:
    """Ask for the kind of a path; links that lead in a circle have none."""
    try:
        return question()
    except (OSError, RuntimeError):
        return False


def sound_name(file_name: str) -> str:
    """Return the pairing name of a file name: no audio suffix, Unicode NFC.

    macOS writes the decomposed form of accented letters and Linux the composed one, so the same
    name copied between them is two byte strings.

    >>> sound_name("dog_bark.1.WAV"), sound_name("dog_bark.1")
    ('dog_bark.1', 'dog_bark.1')
    """
    suffix = Path(file_name).suffix
    stem = file_name[: -len(suffix)] if suffix.lower() in AUDIO_SUFFIXES else file_name
    return unicodedata.normalize("NFC", stem)


def shorten(names: Iterable[str], *, limit: int = 3) -> str:
    """Join the first names for a message of one line, and say when there are more.

    >>> shorten(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    names = list(names)
    return printable(", ".join(names[:limit])) + (", ..." if len(names) > limit else "")


def printable(text: str) -> str:
    r"""Return text as one line: what would break it, or the terminal, as an escape.

    >>> print(printable("a\nb"))
    a\nb
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _suffixes() -> str:
    return ", ".join(suffix[1:] for suffix in AUDIO_SUFFIXES)
