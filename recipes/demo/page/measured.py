"""The metrics of evaluation.json, and those that were not computed with how to get them."""

from typing import Any

from evaluation.catalog import METRICS
from evaluation.report import Report, better
from evaluation.weights import missing_reason
from recipes.page.inputs import MissingInputError, Run


def metrics_section(run: Run) -> dict[str, Any]:
    """Return the scores with N and interval, what a reader must know, and what is absent."""
    path = run.folder / "evaluation.json"
    if not path.is_file():
        raise MissingInputError(run.why_missing(path.name, "evaluation"))
    report = Report.from_json(path)
    absent = {
        info.label: _reason(key, report)
        for key, info in METRICS.items()
        if key not in report.scores and not info.round_trip
    }
    notes = [note for note in report.notes() if not note.startswith("not computed:")]
    return {
        "scores": [
            {
                "label": score.label,
                "name": score.name,
                "value": score.to_text(),
                "interval": score.interval_text(),
                "n": score.n,
                "better": better(score.best),
                "stand_in": "standin" in score.name,
            }
            for score in report.scores.values()
        ],
        "confidence": f"{report.protocol['bootstrap']['confidence']:.0%}",
        "summary": report.summary(),
        "notes": notes,
        "absent": absent,
    }


def _reason(key: str, report: Report) -> str:
    """Say why a metric is not in a report: what the report says, else what this machine lacks."""
    if key in report.not_computed:
        return report.not_computed[key]
    network = METRICS[key].network
    missing = missing_reason(network, None) if network else None
    return missing or f"the protocol “{report.protocol['name']}” does not ask for it"
