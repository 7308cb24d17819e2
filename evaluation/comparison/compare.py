"""Reports side by side, or a refusal that names what makes them incomparable."""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from evaluation.catalog import METRICS
from evaluation.comparison.damage import check_numbers
from evaluation.comparison.show import comparison_text
from evaluation.protocols.card import Bootstrap
from evaluation.protocols.title import PROSE
from evaluation.reports.notes import limit_notes, meaning_notes
from evaluation.reports.report import Report, ReportError, flatten
from evaluation.reports.tables import is_stand_in

__all__ = ["CompareError", "compare_reports", "comparison_text", "differing_fields"]

ABSENT, PRESENT = "absent", "there"
NETWORK_FACTS = ("network", "name", "version", "weights_sha256", "stand_in", "dtype", "options")
SCORE_FACTS = ("embedder", "embedder_version", "listener", "listener_version", "stand_in")


class CompareError(ValueError):
    """Reports whose numbers do not mean the same thing: which fields differ."""


def compare_reports(
    *paths: Path, anyway: bool = False, cache: Path | None = None
) -> dict[str, Any]:
    """Compare reports score by score.

    Args:
        paths: two reports or more, written with --json.
        anyway: compare what is not comparable; the fields that differ are then in the result.
        cache: folder of features; where it has those of the reports, scores of whole sets get an
            interval of their difference.

    Returns:
        JSON values: the reports, the fields that differ, and per metric the values with their
        intervals and the difference of every two reports.

    Raises:
        ReportError: if a file is not a report.
        CompareError: if there are fewer than two, or they were made under different protocols, on
            other references, or with another version of the instrument.
    """
    if len(paths) < 2:
        raise CompareError(f"expected two reports or more to compare, got {len(paths)}")
    reports = named_reports(paths)
    differing = differing_fields(reports)
    if differing and not anyway:
        raise CompareError(_refusal(differing, dict(zip(reports, paths, strict=True))))
    keys = _common_keys(reports)
    if not keys:
        raise CompareError(f"{', '.join(map(str, paths))} have no metric in common. Score again.")
    from evaluation.comparison.scores import (
        compare_score,  # scipy takes seconds, a refusal does not
    )

    first = next(iter(reports.values()))
    return {
        "reports": [
            {
                "name": name,
                "file": str(path),
                "card": report.card_title(),
                "pairs": report.data["pairs"],
                "flags": report.flags,
                "warnings": report.warnings,
                "intervals": _interval_notes(report, keys),
            }
            for path, (name, report) in zip(paths, reports.items(), strict=True)
        ],
        "interval": first.interval_title(),
        "confidence": first.protocol["bootstrap"]["confidence"],
        "references": first.data["reference"]["sha256"],
        "differing": [{"field": field, "values": values} for field, values in differing.items()],
        "scores": {key: compare_score(key, reports, cache=cache) for key in keys},
        "libraries": _differing_libraries(reports),
        "only_in": {
            name: sorted(report.scores.keys() - set(keys)) for name, report in reports.items()
        },
    }


def named_reports(paths: Sequence[Path]) -> dict[str, Report]:
    """Read reports; each is called as its system is, or where two are, by its file as well."""
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(paths):
        twice = next(path for path in paths if resolved.count(path.resolve()) > 1)
        raise CompareError(f"{twice} is given twice. Pass each report once.")
    reports = [_read(path) for path in paths]
    stems = [path.stem for path in paths]
    files = [p.stem if stems.count(p.stem) == 1 else str(p.with_suffix("")) for p in paths]
    names = [report.name() for report in reports]
    told = [
        name if names.count(name) == 1 else f"{name} ({file})" if report.data.get("name") else file
        for name, file, report in zip(names, files, reports, strict=True)
    ]
    if len(set(told)) < len(told):  # a file may be called as another's system is
        told = [f"{name} ({path})" for name, path in zip(names, paths, strict=True)]
    return dict(zip(told, reports, strict=True))


def _read(path: Path) -> Report:
    """Read a report, with what its differences to others are made with."""
    report = Report.from_json(path)
    try:
        Bootstrap(**report.protocol["bootstrap"])
        check_numbers(report)
    except (TypeError, ValueError) as error:
        raise ReportError(f"{path}: a damaged evaluation report ({error})") from error
    return report


def differing_fields(reports: Mapping[str, Report]) -> dict[str, dict[str, Any]]:
    """Return every field that must agree and does not: field -> name of the report -> value."""
    common = set(_common_keys(reports))
    facts = {name: _must_agree(report, common) for name, report in reports.items()}
    fields = dict.fromkeys(field for own in facts.values() for field in own)
    found: dict[str, dict[str, Any]] = {}
    for field in fields:
        values = {name: own.get(field, ABSENT) for name, own in facts.items()}
        if all(value == next(iter(values.values())) for value in values.values()):
            continue
        part = _absent_part(field, facts)
        if ABSENT in values.values() and all(_has_part(own, part) for own in facts.values()):
            continue  # an empty part against one with fields, which are named themselves
        if part == field:
            found[field] = values
        else:
            found[part] = {
                name: PRESENT if _has_part(own, part) else ABSENT for name, own in facts.items()
            }
    return found


def _absent_part(field: str, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the largest part of a report with this field that some report lacks as a whole."""
    words = field.split(".")
    for depth in range(2, len(words)):
        part = ".".join(words[:depth])
        if not all(_has_part(own, part) for own in facts.values()):
            return part
    return field


def _has_part(facts: Mapping[str, Any], part: str) -> bool:
    return part in facts or any(field.startswith(f"{part}.") for field in facts)


def _interval_notes(report: Report, keys: Sequence[str]) -> list[str]:
    """Say what the intervals of a report's own scores mean, and where they end."""
    scores = {key: report.scores[key] for key in keys}
    return meaning_notes(scores) + limit_notes(scores, interval_title=report.interval_title())


def _differing_libraries(reports: Mapping[str, Report]) -> dict[str, dict[str, Any]]:
    """Return the packages of which the reports had different versions: no reason to refuse."""
    own = {name: report.provenance.get("libraries", {}) for name, report in reports.items()}
    packages = dict.fromkeys(package for versions in own.values() for package in versions)
    found = {p: {name: versions.get(p) for name, versions in own.items()} for p in packages}
    return {package: row for package, row in found.items() if len(set(row.values())) > 1}


def _common_keys(reports: Mapping[str, Report]) -> list[str]:
    first, *others = reports.values()
    return [key for key in first.scores if all(key in report.scores for report in others)]


def _must_agree(report: Report, metrics: Set[str]) -> dict[str, Any]:
    card = {name: value for name, value in report.protocol.items() if name not in PROSE}
    fields = dict(flatten(card, "protocol"))
    fields["instrument"] = report.provenance["instrument"]
    fields["reference.sha256"] = report.data["reference"]["sha256"]
    fields["pairs"] = report.data["pairs"]
    if any(key in METRICS and METRICS[key].needs_captions for key in metrics):
        captions = [[item["name"], *(item.get("captions") or ())] for item in report.items]
        fields["captions.sha256"] = _sha256(captions)
    for key in sorted(metrics):
        name = (report.protocol.get("metrics", {}).get(key) or {}).get("features", "")
        for fact, value in report.features.get(name, {}).items():
            if fact in NETWORK_FACTS:
                fields |= flatten(value, f"features.{name}.{fact}")
        details = report.scores[key].details
        fields |= {f"{key}.{name}": details[name] for name in SCORE_FACTS if name in details}
        if is_stand_in(report.scores[key]):
            fields[f"{key}.stand_in"] = True
    return fields


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _refusal(differing: Mapping[str, Mapping[str, Any]], files: Mapping[str, Path]) -> str:
    shown = "; ".join(
        f"{field} is "
        + " and ".join(f"{value!r} in {files[name]}" for name, value in values.items())
        for field, values in list(differing.items())[:3]
    )
    more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
    return (
        f"not comparable: {shown}{more}. Score all the same way; --anyway shows them side by side "
        "with every field that differs."
    )
