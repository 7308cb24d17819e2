"""What an evaluation found, with everything needed to know what the numbers mean."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluation.catalog import METRICS
from evaluation.protocols.title import card_title
from evaluation.reports.files import (
    FORMAT,
    FORMAT_VERSION,
    ReportError,
    flatten,
    read_content,
    without_nan,
    write_text,
)
from evaluation.reports.notes import (
    beside_notes,
    group_note,
    limit_notes,
    meaning_notes,
    sign_notes,
)
from evaluation.reports.shape import check_shape
from evaluation.reports.tables import (
    Rows,
    as_text,
    class_rows,
    class_title,
    group_rows,
    sanity_rows,
    score_rows,
)
from evaluation.scorers.score import Score, better

__all__ = ["Report", "ReportError", "Score", "better", "flatten", "write_text"]

LEVEL = "level_difference_db"
SOUNDS = 6  # clips to play at each end of a metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Scores of one generated set against one reference set under one protocol."""

    scores: dict[str, Score]  # by metric key
    not_computed: dict[str, str]  # metric key -> reason
    protocol: dict[str, Any]  # the whole card
    data: dict[str, Any]  # folders, counts, hashes, what was left out
    provenance: dict[str, Any]  # date, versions of the instrument and of libraries
    warnings: list[str] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)  # one per pair
    classes: dict[str, dict[str, Score]] = field(default_factory=dict)  # label -> metric key
    features: dict[str, dict[str, Any]] = field(default_factory=dict)  # name on the card -> facts
    sanity: dict[str, dict[str, float | None]] = field(default_factory=dict)  # system -> metric key
    flags: list[str] = field(default_factory=list)  # what the sanity battery found wrong
    breakdown: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)  # kind -> group

    @property
    def seed(self) -> int | None:
        """The seed of the intervals, and of all else that is drawn unless the origin names one."""
        seed = self.provenance.get("seed")
        return self.protocol["bootstrap"].get("seed") if seed is None else seed

    def to_dict(self, *, items: bool = True) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes None.

        Args:
            items: include the table of pairs, which grows with the set.
        """
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, "seed": self.seed}
        content |= asdict(self)
        if not items:
            del content["items"]
        return without_nan(content)

    def to_json(self, path: Path) -> None:
        """Write the report as JSON, at once or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def from_json(cls, path: Path) -> "Report":
        """Read a report that `to_json` or the command wrote, of this format or of format 1.

        Raises:
            ReportError: if the file is missing, not JSON, or not a report of a known format.
        """
        try:
            report = cls(**read_content(path))
            check_shape(report)
            return report
        except ReportError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ReportError(f"{path}: a damaged evaluation report ({what})") from error

    def to_text(self) -> str:
        """Return the report as a table for a terminal."""
        lines = self._missing() + as_text(
            score_rows(self.scores, interval_title=self.interval_title())
        )
        if self.classes:
            title = class_title(self.scores, self.classes)
            lines += ["", title, *as_text(class_rows(self.scores, self.classes)), ""]
        if self.sanity:
            lines += ["", *as_text(sanity_rows(self.scores, self.sanity)), ""]
        lines += self.notes()
        return "\n".join([*lines, self.summary()])

    def to_markdown(self, *, name: str | None = None) -> str:
        """Return the scores as one row of a Markdown table, with what must stand under it.

        Args:
            name: of the row; None for that of the report.
        """
        from evaluation.reports.rows import markdown_table

        return markdown_table({name or self.name(): self})

    def to_latex(self, *, name: str | None = None) -> str:
        """Return the scores as one row of a LaTeX table; it needs the package booktabs."""
        from evaluation.reports.rows import latex_table

        return latex_table({name or self.name(): self})

    def to_csv(self, path: Path) -> None:
        """Write a line per clip with all of its values."""
        from evaluation.reports.rows import csv_table

        write_text(path, csv_table(self))

    def to_html(self, path: Path, *, sounds: int = SOUNDS) -> None:
        """Write the report as one HTML page that needs no other file.

        Args:
            path: the page.
            sounds: how many of the worst and of the best clips by each metric can be played.

        Raises:
            ModuleNotFoundError: if jinja2 is not installed.
        """
        from evaluation.reports.page import report_page  # jinja2 is optional

        write_text(path, report_page(self, sounds=sounds))

    def name(self) -> str:
        """Return what the system is called: the name it was given, else that of its folder."""
        folder = Path(self.data["generated"].get("folder", "generated")).name
        return self.data.get("name") or folder or "generated"

    def summary(self) -> str:
        """Return one line: protocol, N, and which sounds."""
        reference = self.data["reference"]
        return (
            f"protocol {self.card_title()}; "
            f"N = {self.data['pairs']} pairs, references sha256 {reference['sha256'][:12]}"
        )

    def card_title(self) -> str:
        """Return the card's name and version, and what of it is not as shipped."""
        return card_title(self.protocol)

    def interval_title(self) -> str:
        """Return the heading of the intervals, such as "95% interval"."""
        return f"{self.protocol['bootstrap']['confidence']:.0%} interval"

    def notes(self) -> list[str]:
        """Return what a reader of the table must also know, one line each."""
        notes = self.limits() + [f"flag: {text}" for text in self.flags] + self._battery()
        notes += beside_notes(self.scores) + sign_notes(self._tables(), self.scores)
        notes += meaning_notes(self.scores)
        if group_note(self.classes):
            notes.append(f"classes {group_note(self.classes)}")
        notes += [
            f"not computed: {METRICS[key].label if key in METRICS else key}: {reason}"
            for key, reason in self.not_computed.items()
        ]
        if LEVEL in self.scores and self.protocol.get("generated"):
            notes.append(f"{LEVEL}: of the files, before the card's steps for generated sounds")
        return notes + [f"warning: {text}" for text in self.warnings]

    def limits(self) -> list[str]:
        """Return what stands under the scores in every form: how far they and intervals hold."""
        return limit_notes(self.scores, interval_title=self.interval_title())

    def _tables(self) -> list[Rows]:
        """Return all tables of scores."""
        return [
            score_rows(self.scores, interval_title=self.interval_title()),
            class_rows(self.scores, self.classes),
            sanity_rows(self.scores, self.sanity),
            *(group_rows(self.scores, own, kind="group") for own in self.breakdown.values()),
        ]

    def _missing(self) -> list[str]:
        """Say above the table that it is not the whole of what was asked for."""
        if not self.not_computed:
            return []
        total = len(self.scores) + len(self.not_computed)
        keys = ", ".join(self.not_computed)
        return [f"INCOMPLETE: {len(self.not_computed)} of {total} metrics not computed: {keys}", ""]

    def _battery(self) -> list[str]:
        """Say at which N the sanity battery was scored, and what it had to do without."""
        battery = self.data.get("sanity")
        if not battery:
            return []
        lines = [
            f"sanity battery: {battery['pairs']} of {battery['of']} pairs, drawn with seed "
            f"{battery['seed']}; its scores are of this N"
        ]
        if "no_flags" in battery:
            lines.append(f"sanity battery: {battery['no_flags']}")
        failed = battery.get("failed", {}).items()
        return lines + [f"sanity battery without {side}: {reason}" for side, reason in failed]
