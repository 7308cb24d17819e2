"""What every report has: each part is of its kind, so that whoever reads on need not ask."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evaluation.protocols.card import Bootstrap
from evaluation.scorers.score import Score

if TYPE_CHECKING:
    from evaluation.reports.report import Report

KINDS: dict[str, type | tuple[type, ...]] = {
    "a mapping": dict,
    "a list": list,
    "a text": str,
    "a number": (int, float),
    "a whole number": int,
    "true or false": bool,
}
FACTS = {  # of a score, where its details have them
    "statistic": "a text",
    "stand_in": "true or false",
    "self_as_generated": "true or false",
    "interval_of": "a text",
    "interval_resamples": "a whole number",
    "interval_cut": "a number",
}


def check_shape(report: "Report") -> None:
    """Refuse a report with a part of another kind than every report has there.

    Raises:
        ValueError: naming the part, what belongs there and what is there.
        KeyError: for a part that is not there.
    """
    for name in ("protocol", "data", "provenance", "features", "sanity", "not_computed"):
        expect(getattr(report, name), "a mapping", name)
    for name in ("warnings", "items", "flags"):
        expect(getattr(report, name), "a list", name)
    _check_card(report.protocol)
    _check_origin(report)
    for where, score in each_score(report):
        _check_score(score, where)
    for number, item in enumerate(report.items):
        _check_item(expect(item, "a mapping", f"items[{number}]"), f"items[{number}]")
    for system, values in report.sanity.items():
        _each(values, "a number", f"sanity.{system}", missing=True)
    _each(report.features, "a mapping", "features")
    for text in [*report.flags, *report.warnings]:
        expect(text, "a text", "flags and warnings")
    _each(report.not_computed, "a text", "not_computed")


def expect(value: Any, kind: str, where: str, *, missing: bool = False) -> Any:
    """Return a value of a kind of `KINDS`; None passes too where it may be missing.

    Raises:
        ValueError: if it is of another kind.
    """
    truth = isinstance(value, bool) and KINDS[kind] is not bool  # a bool is an int to Python
    if (missing and value is None) or (isinstance(value, KINDS[kind]) and not truth):
        return value
    raise ValueError(f"{where}: expected {kind}, got {value!r:.80}")


def _each(values: Any, kind: str, where: str, *, missing: bool = False) -> None:
    for name, value in expect(values, "a mapping", where).items():
        expect(value, kind, f"{where}.{name}", missing=missing)


def _check_card(card: Mapping[str, Any]) -> None:
    expect(card["name"], "a text", "protocol.name")
    bootstrap = expect(card["bootstrap"], "a mapping", "protocol.bootstrap")
    settings = Bootstrap(**bootstrap)
    for name in ("resamples", "seed"):
        expect(getattr(settings, name), "a whole number", f"protocol.bootstrap.{name}")
    expect(settings.confidence, "a number", "protocol.bootstrap.confidence")
    if not (settings.resamples >= 1 and settings.seed >= 0 and 0 < settings.confidence < 1):
        raise ValueError(f"protocol.bootstrap: {bootstrap} draws nothing")
    metrics = expect(card.get("metrics", {}), "a mapping", "protocol.metrics")
    for key, options in metrics.items():
        expect(options, "a mapping", f"protocol.metrics.{key}", missing=True)
        expect((options or {}).get("features", ""), "a text", f"protocol.metrics.{key}.features")


def _check_origin(report: "Report") -> None:
    expect(report.provenance["instrument"], "a text", "provenance.instrument")
    libraries = report.provenance.get("libraries", {})
    _each(libraries, "a text", "provenance.libraries", missing=True)
    expect(report.data["pairs"], "a whole number", "data.pairs")
    expect(report.data.get("name"), "a text", "data.name", missing=True)
    reference = expect(report.data["reference"], "a mapping", "data.reference")
    expect(reference["sha256"], "a text", "data.reference.sha256")


def each_score(report: "Report") -> Iterable[tuple[str, Score]]:
    """Yield all scores of a report, each with where it is."""
    places = {"scores": report.scores}
    places |= {f"classes.{label}": row for label, row in report.classes.items()}
    for kind, groups in report.breakdown.items():
        places |= {f"breakdown.{kind}.{group}": row for group, row in groups.items()}
    for place, row in places.items():
        yield from ((f"{place}.{key}", score) for key, score in row.items())


def _check_score(score: Score, where: str) -> None:
    for name in ("name", "label", "unit", "best"):
        expect(getattr(score, name), "a text", f"{where}.{name}")
    if score.best not in ("low", "high", "zero"):
        raise ValueError(f"{where}.best: expected low, high or zero, got {score.best!r}")
    expect(score.reason, "a text", f"{where}.reason", missing=True)
    for name, kind in FACTS.items():
        expect(score.details.get(name), kind, f"{where}.details.{name}", missing=True)


def _check_item(item: Mapping[str, Any], where: str) -> None:
    expect(item["name"], "a text", f"{where}.name")
    for caption in expect(item.get("captions"), "a list", f"{where}.captions", missing=True) or ():
        expect(caption, "a text", f"{where}.captions")
    _each(item["values"], "a number", f"{where}.values", missing=True)
    entries = expect(item.get("features"), "a mapping", f"{where}.features", missing=True) or {}
    for name, keys in entries.items():
        _each(keys, "a text", f"{where}.features.{name}", missing=True)
