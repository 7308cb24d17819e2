"""Pair the files of two folders by name; refuse to score a set with holes in it."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


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

    Hidden files and files without an audio suffix are ignored; subfolders are not entered.

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
            f"reference and generated are the same folder, {reference}: every distance would be "
            "zero. Pass two different folders."
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
        FolderError: if the folder is missing, holds no sound, or has two files of one name.
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
            raise FolderError(f"{folder} has a file whose name is no text: {name!r}. Rename it.")
        if name in sounds:
            raise FolderError(
                f"{folder} has two files named {name!r}: {sounds[name].name} and {path.name}. "
                "Keep one of them."
            )
        sounds[name] = path
    if not sounds:
        raise FolderError(
            f"folder {folder} has no {_suffixes()} files. Files in subfolders and hidden files "
            "are not read."
        )
    return sounds


def extra_names(references: Iterable[str], candidates: Iterable[str]) -> list[str]:
    """Return the sorted names of generated sounds that no reference asks for."""
    return sorted(set(candidates) - set(references))


def is_sound(path: Path) -> bool:
    """Tell whether a path is a visible file with an audio suffix, in upper or lower case."""
    return (
        path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


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
    """Join the first names for an error message, and say when there are more.

    >>> shorten(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _suffixes() -> str:
    return ", ".join(suffix[1:] for suffix in AUDIO_SUFFIXES)
