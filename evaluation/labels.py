"""Read which class each sound belongs to: labels by file name, from CSV or JSON lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.folders import Pair, shorten, sound_name
from evaluation.rows import NAME_KEYS, field, read_rows

CLASS_KEYS = ("class", "label", "category")


class LabelError(ValueError):
    """A label file that cannot be used: file, line and what to do."""


def read_labels(path: Path) -> dict[str, str]:
    """Map sound names to their class, in file order.

    Args:
        path: a .csv file with a header, or a .jsonl file with one object per line. The name of a
            sound is under one of `NAME_KEYS` (with or without audio suffix), its class, text or a
            whole number, under one of `CLASS_KEYS`.

    Raises:
        LabelError: with file and line, if a row has no name or no class, or gives a sound another
            class than an earlier row.
    """
    labels: dict[str, str] = {}
    for line, row in read_rows(path, what="label", error=LabelError):
        name, label = field(row, NAME_KEYS), _class_of(field(row, CLASS_KEYS))
        if not isinstance(name, str) or label is None:
            raise LabelError(
                f"{path}:{line}: expected a name under one of {', '.join(NAME_KEYS)} and a class "
                f"under one of {', '.join(CLASS_KEYS)}, got {json.dumps(row)[:120]}"
            )
        key = sound_name(Path(name).name)
        if labels.setdefault(key, label) != label:
            raise LabelError(
                f"{path}:{line}: {key!r} is of class {labels[key]!r} and of class {label!r}. "
                "Give every sound one class."
            )
    return labels


def check_labels(pairs: list[Pair], labels: Mapping[str, str], *, path: Path) -> None:
    """Check that every pair has a class.

    Raises:
        LabelError: with the count and the names of the pairs that have none.
    """
    missing = [pair.name for pair in pairs if pair.name not in labels]
    if missing:
        raise LabelError(
            f"{len(missing)} of {len(pairs)} sounds have no class in {path}: {shorten(missing)}. "
            "Add them, or run without --labels."
        )


def _class_of(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None
