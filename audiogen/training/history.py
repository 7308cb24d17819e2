"""The history of a run as metrics.csv, whole over restarts."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from audiogen.files import replacing


class HistoryLogger(Logger):
    """One metrics.csv per run: a row per step, in order, whole and without duplicates.

    Values of one step share a row. Rows are on disk as soon as they are logged; `truncate` drops
    what a killed run wrote after the checkpoint it is continued from.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._columns, self._rows = _read(self.path)
        self._offset = self._end = 0  # where the last row begins in the file, and ends
        self._clean = False  # whether the file on disk is what we hold

    @property
    def name(self) -> str:
        """What Lightning calls this logger."""
        return "history"

    @property
    def version(self) -> str:
        """One history per run folder, so there is one version."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml of the run folder holds every value."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add values to the row of ``step``, the number of finished updates."""
        if step is None:
            raise ValueError("metrics need the step they belong to, got None")
        row = {"step": str(int(step)), **{key: _text(value) for key, value in metrics.items()}}
        same = bool(self._rows) and self._rows[-1]["step"] == row["step"]
        if same:
            row = {**self._rows.pop(), **row}
        self._rows.append(row)
        new = [key for key in row if key not in self._columns]
        self._columns += new
        if new or not self._clean:
            self._rewrite()
        else:
            self._write_last(replace=same)

    @rank_zero_only
    def truncate(self, step: int) -> None:
        """Forget every row after ``step``; 0 empties the history."""
        self._rows = [row for row in self._rows if int(row["step"]) <= step]
        self._columns = [key for key in self._columns if any(key in row for row in self._rows)]
        self._rewrite()

    def latest(self) -> dict[str, float]:
        """Return the last value of every metric."""
        values = {key: value for row in self._rows for key, value in row.items()}
        return {key: float(value) for key, value in values.items()}

    def _line(self, values: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue().encode()

    def _encode(self, row: dict[str, str]) -> bytes:
        return self._line([row.get(key, "") for key in self._columns])

    def _rewrite(self) -> None:
        """Write the whole file beside the old one and put it in its place."""
        lines = [self._encode(row) for row in self._rows]
        head = self._line(self._columns) if self._columns else b""
        with replacing(self.path) as temporary:
            temporary.write_bytes(head + b"".join(lines))
        self._offset = len(head) + sum(len(line) for line in lines[:-1])
        self._end = len(head) + sum(len(line) for line in lines)
        self._clean = True

    def _write_last(self, *, replace: bool) -> None:
        line = self._encode(self._rows[-1])
        if not replace:
            self._offset = self._end
        with self.path.open("r+b") as stream:
            stream.seek(self._offset)
            stream.write(line)
            stream.truncate()
        self._end = self._offset + len(line)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read columns and rows; a last line without its end, cut by a kill, is left out."""
    if not path.is_file():
        return [], []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    if not lines:
        return [], []
    columns = lines[0]
    if "step" not in columns:
        raise ValueError(f"{path} is damaged: it has no column step; remove the run folder")
    whole = [line for line in lines[1:] if len(line) == len(columns)]
    return columns, [
        {key: value for key, value in zip(columns, line, strict=True) if value} for line in whole
    ]


def _text(value: Any) -> str:
    """Write a number so that reading it back gives the same number."""
    value = value.item() if hasattr(value, "item") else value
    return repr(float(value)) if isinstance(value, float) else str(value)
