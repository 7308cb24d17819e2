"""What a run folder holds, and in words why something is not there."""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

MAIN_LABELS = ("family", "class")  # the label that tables are about: synthetic, ESC-50
SYNTHETIC, RECORDINGS = "synthetic", "recordings"


class MissingInputError(ValueError):
    """Something a section needs is not in the run folder; the message says what and why."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The folder of a run; reading what is not there raises `MissingInputError`."""

    folder: Path

    @property
    def sounds(self) -> str:
        """What it was trained on: "recordings" if a recipe converted files, else "synthetic"."""
        return RECORDINGS if (self.folder / "data" / "prepared.json").exists() else SYNTHETIC

    @cached_property
    def stages(self) -> list[dict[str, Any]]:
        """The rows of stages.jsonl; a last line cut by a kill is left out."""
        path = self.folder / "stages.jsonl"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return [row for row in map(_object, text.splitlines()) if row and "stage" in row]

    def json(self, name: str, *, stage: str) -> dict[str, Any]:
        """Read a JSON object that a stage writes."""
        content = _object(self._text(name, stage))
        if content is None:
            raise MissingInputError(
                f"{name} is not a JSON object: remove it and start the same command again."
            )
        return content

    def rows(self, name: str, *, stage: str) -> list[dict[str, Any]]:
        """Read JSON lines that a stage writes; lines that are not objects are left out."""
        return [row for row in map(_object, self._text(name, stage).splitlines()) if row]

    def history(self, folder: str, *, stage: str) -> "History":
        """Read the metrics.csv of the training run in RUN/folder, the finished one if there are
        several, then the newest.
        """
        files = list((self.folder / folder).glob("*/metrics.csv"))
        if not files:
            raise MissingInputError(self.why_missing(f"{folder}/*/metrics.csv", stage))
        files.sort(key=lambda f: ((f.parent / "done.json").exists(), f.stat().st_mtime))
        return History.read(files[-1], others=len(files) - 1)

    def why_missing(self, name: str, stage: str) -> str:
        """Say that a file is not there, and why as far as stages.jsonl tells."""
        exits = [row.get("exit") for row in self.stages if row["stage"] == stage]
        if not exits:
            why = f"stage “{stage}” has not run to an end in this folder"
        elif exits[-1] == 0:
            why = f"stage “{stage}” ended well, so the file was removed or moved since"
        else:
            how = _how_it_ended(exits[-1])
            why = f"stage “{stage}” {how} when it was last started"
        return f"{name} is not in the run folder: {why}. The same command goes on from there."

    def _text(self, name: str, stage: str) -> str:
        path = self.folder / name
        if not path.is_file():
            raise MissingInputError(self.why_missing(name, stage))
        return path.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, kw_only=True)
class History:
    """The values that a training run logged."""

    run: str  # name of its folder
    finished: bool
    others: int  # training runs in the same folder that are not this one
    rows: list[dict[str, float]]  # by step; a row has only what was logged at its step

    @classmethod
    def read(cls, path: Path, *, others: int = 0) -> "History":
        """Read a metrics.csv; what is not a finite number is left out."""
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [_numbers(row) for row in csv.DictReader(lines)]
        return cls(
            run=path.parent.name,
            finished=(path.parent / "done.json").exists(),
            others=others,
            rows=[row for row in rows if "step" in row],
        )

    @property
    def names(self) -> list[str]:
        """Every logged name, in order of first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of one name."""
        pairs = [(row["step"], row[name]) for row in self.rows if name in row]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def last_with(self, *names: str) -> dict[str, float] | None:
        """Return the last row that has all these names, so that they can be compared."""
        rows = [row for row in self.rows if all(name in row for name in names)]
        return rows[-1] if rows else None


def main_label(labels: Iterable[Mapping[str, object]]) -> str | None:
    """Return the name of the label that tables are about, or None if no clip has one."""
    names = {name for clip in labels for name in clip}
    return next((name for name in MAIN_LABELS if name in names), None)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value read from JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _how_it_ended(code: Any) -> str:
    if is_number(code) and code < 0:
        return f"was killed by signal {-code}"
    return f"stopped with exit code {code}"


def _object(text: str) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _numbers(row: Mapping[str | None, Any]) -> dict[str, float]:
    values = {}
    for name, text in row.items():
        try:
            value = float(text)
        except (TypeError, ValueError):
            continue
        if name and math.isfinite(value):
            values[name] = value
    return values
