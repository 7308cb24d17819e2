"""Test clips of the demo to listen to, four sounds each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.page.inputs import MissingInputError, Run, main_label
from recipes.page.players import RANGE, color_scale, hear, loudest, panel

FOLDERS = {
    "reference": "Reference",
    "roundtrip": "Codec round trip",
    "generated": "Generated",
    "unguided": "No guidance",
}
LABELED, UNLABELED = 24, 12  # clips at most, with and without labels
MAX_BYTES = 6_200_000  # of sound files: with base64 and pictures about 11 MB


def players_section(run: Run) -> dict[str, Any]:
    """Return the chosen clips with four panels each."""
    rows = run.rows("samples/captions.jsonl", stage="samples")
    label = main_label(_labels(row) for row in rows)
    wanted = choose(rows, label)
    if not wanted:
        raise MissingInputError("samples/captions.jsonl names no clip.")
    chosen = within_budget(wanted, run.folder / "samples", MAX_BYTES)
    heard = [
        {name: hear(run.folder / "samples" / name / str(row["file"])) for name in FOLDERS}
        for row in chosen
    ]
    top = loudest(heard)
    return {
        "clips": [
            {
                "caption": str(row.get("caption", "")),
                "name": str(row["file"]),
                "labels": ", ".join(f"{n}: {v}" for n, v in _labels(row).items()),
                "panels": [
                    panel(name, title, sounds[name], top) for name, title in FOLDERS.items()
                ],
            }
            for row, sounds in zip(chosen, heard, strict=True)
        ],
        "label": label,
        "open": UNLABELED,
        "number": len(rows),
        "range": RANGE,
        "scale": color_scale(),
    }


def choose(rows: Sequence[Mapping[str, Any]], label: str | None) -> list[Mapping[str, Any]]:
    """Pick the first clip of each group of a label, then their last ones; the first of all where
    there is no label.

    The choice goes by order alone: nobody listened to choose the good ones.
    """
    rows = [row for row in rows if isinstance(row.get("file"), str) and _is_name(row["file"])]
    if label is None:
        return list(rows[:UNLABELED])
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: _labels(row).get(label, "")):
        groups.setdefault(_labels(row).get(label, ""), []).append(row)
    first = [group[0] for group in groups.values()]
    last = [group[-1] for group in groups.values() if len(group) > 1]
    return [*first, *last][:LABELED]


def within_budget(
    rows: Sequence[Mapping[str, Any]], samples: Path, max_bytes: int
) -> list[Mapping[str, Any]]:
    """Keep the clips, in order, whose files together stay within a size."""
    kept, total = [], 0
    for row in rows:
        size = sum(_size(samples / name / row["file"]) for name in FOLDERS)
        if total + size <= max_bytes:
            kept.append(row)
            total += size
    return kept


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    labels = row.get("labels")
    return labels if isinstance(labels, dict) else {}


def _is_name(text: str) -> bool:
    return not set(text) & set("/\\\0") and text not in ("", ".", "..")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
