"""A run's own scores, and what has to be said beside each of them."""

import json
import math
from dataclasses import dataclass
from typing import Any

from evaluation.protocols.title import is_shipped
from evaluation.reports.report import Report
from evaluation.scorers.score import Score
from recipes.page.inputs import Run

UNKNOWN = "sounds given, model unknown"


@dataclass(frozen=True, kw_only=True)
class Own:
    """The scores of a run under one card."""

    model: str
    n: str  # clips, or clips/sounds
    report: Report
    page: str  # of the report, beside the table's
    marks: tuple[str, ...]  # why the scores say nothing about a model on AudioCaps
    departures: tuple[str, ...]  # what else is not as the card has it

    @property
    def protocol(self) -> str:
        """The card as people read of it: what of it is not as published under its name is said."""
        return self.report.card_title()

    @property
    def card(self) -> str | None:
        """Name of the shipped card; None if it was another one, whatever that is called."""
        return str(self.report.protocol["name"]) if is_shipped(self.report.protocol) else None

    def value(self, key: str) -> Score | None:
        """Return a score; None where it was not computed."""
        score = self.report.scores.get(key)
        return None if score is None or math.isnan(score.value) else score

    def is_stand_in(self, score: Score) -> bool:
        """Whether a score says nothing about the model: random networks, or not AudioCaps."""
        return bool(score.details.get("stand_in")) or bool(self.marks)


def read_own(run: Run) -> list[Own]:
    """Return the scores of a run, by card.

    Raises:
        ValueError: if nothing was scored yet, or a report is damaged.
    """
    choice = run.json("choice.json", stage="captions")
    made = run.json("generated.json", stage="generate")
    found = []
    for path in sorted((run.folder / "scores").glob("*.json")):
        report = Report.from_json(path)
        found.append(
            Own(
                model=str(made.get("model") or UNKNOWN),
                n=_n(choice, int(report.data["pairs"])),
                report=report,
                page=f"scores/{path.stem}.html",
                marks=tuple(_marks(choice)),
                departures=tuple(_departures(choice, report)),
            )
        )
    return found


def _n(choice: dict[str, Any], pairs: int) -> str:
    """Say how many clips were scored, and how many sounds where those are more."""
    return str(pairs) if choice["clips"] == choice["sounds"] else f"{choice['clips']}/{pairs}"


def _marks(choice: dict[str, Any]) -> list[str]:
    if not choice["v1"]:
        return ["stand-in: not the AudioCaps test set"]
    return []


def _departures(choice: dict[str, Any], report: Report) -> list[str]:
    """Say where the clips and captions of a run are not those of its card."""
    card, how = report.protocol, choice["captions"]
    clips = (card.get("test_list") or {}).get("clips")
    found = []
    if clips and choice["clips"] != clips:
        found.append(f"{choice['clips']} clips, the card's list has {clips}")
    if report.data["pairs"] < choice["sounds"]:
        found.append(f"{choice['sounds'] - report.data['pairs']} sounds were left out of the score")
    if card.get("captions") == "listed" and how != "listed":
        found.append(f"captions are {how}, the card takes those of a list: --captions listed")
    return found


def scale(score: Score) -> str | None:
    """Say what a score is to be seen beside: chance, and the references themselves."""
    bias = score.details.get("bias") or {}
    ends = "" if bias.get("low") is None else f" ({bias['low']:.2g} to {bias['high']:.2g})"
    parts = [
        (bias.get("estimate"), f"chance alone adds about {{:.3g}}{ends} at this N"),
        (
            score.details.get("reference_halves"),
            "one half of the references against the other: {:.3g}",
        ),
        (score.details.get("reference_self"), "the references themselves: {:.3g}"),
    ]
    return "; ".join(text.format(value) for value, text in parts if value is not None) or None


def facts(run: Run) -> dict[str, Any]:
    """Return what every table says under its title: choice, sampling, audit."""
    choice = run.json("choice.json", stage="captions")
    made = run.json("generated.json", stage="generate")
    audit = run.json("audit/audit.json", stage="audit")
    settings = made.get("settings") or {}
    return {
        "model": made.get("model") or UNKNOWN,
        "model_hash": made.get("model_hash"),
        "licence": made.get("licence"),
        "given": made.get("given"),
        "sampling": json.dumps(settings, sort_keys=True) if settings else None,
        "captions": _captions(choice),
        "choice_sha256": choice["sha256"],
        "test_set": choice["test_set"],
        "clips": choice["clips"],
        "of_clips": choice["of_clips"],
        "sounds": choice["sounds"],
        "usable": len(audit["usable"]),
        "fad_bias": audit["fad_bias"],
    }


def _captions(choice: dict[str, Any]) -> str:
    words = {
        "random": f"one of each clip, drawn with seed {choice['seed']}",
        "first": "the first of each clip",
        "all": "all of each clip, a sound of every one",
    }
    if choice["list"] is None:
        return words[choice["captions"]]
    listed = choice["list"]
    missing = f", {listed['missing']} of its clips are not there" if listed["missing"] else ""
    return f"as {listed['file']} lists them (sha256 {listed['sha256'][:12]}{missing})"
