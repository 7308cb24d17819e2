"""What a comparison says beside its tables: what differs, and what its reports warn of."""

from collections.abc import Iterable, Mapping
from typing import Any

from evaluation.reports.tables import STAND_IN

Comparison = Mapping[str, Any]
Found = Mapping[str, Any]  # the difference of a score between two reports


def differing_lines(comparison: Comparison) -> list[str]:
    """Say over the table what makes it no comparison of systems alone; nothing if nothing does."""
    if not comparison["differing"]:
        return []
    lines = [
        "NOT COMPARABLE: the fields below differ, and the differences are theirs as much as those "
        "of the sounds."
    ]
    for entry in comparison["differing"]:
        values = ", ".join(f"{value!r} in {name}" for name, value in entry["values"].items())
        lines.append(f"  {entry['field']}: {values}")
    return [*lines, ""]


def stand_in_lines(scores: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say over a table which of its scores are of random weights; nothing if none is."""
    labels = [s["label"].removeprefix(STAND_IN) for s in scores if s["stand_in"]]
    if not labels:
        return []
    return [
        f"STAND-IN NETWORKS: {', '.join(labels)}: random weights. Their scores show that the "
        "instrument runs; they say nothing about the sounds.",
        "",
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the tables must also know, one line each."""
    differences = [found for s in comparison["scores"].values() for found in s["differences"]]
    return [
        *flag_notes(comparison),
        *warning_notes(comparison),
        *origins(comparison),
        *resolved_notes(comparison, differences),
        *interval_notes(comparison),
        *method_notes(comparison, differences),
        *library_notes(comparison),
        *left_out(comparison),
    ]


def flag_notes(comparison: Comparison) -> list[str]:
    """Return what the sanity batteries of the reports found wrong, and in which of them."""
    return _by_report(comparison, "flags", "flag: ")


def warning_notes(comparison: Comparison) -> list[str]:
    """Return what the reports warn of, and which of them do."""
    return _by_report(comparison, "warnings", "warning: ")


def origins(comparison: Comparison) -> list[str]:
    """Return which file each report is, its card and its N."""
    return [
        f"{report['name']} = {report['file']}: {report['card']}; N = {report['pairs']} pairs"
        for report in comparison["reports"]
    ]


def resolved_notes(comparison: Comparison, differences: Iterable[Found]) -> list[str]:
    """Say what it takes for a difference to be resolved, where one shown has an interval."""
    count = sum(found["resolved"] is not None for found in differences)
    if not count:
        return []
    chance = (1 - comparison["confidence"]) * count
    return [
        f"resolved: the {comparison['interval']} of the difference, clips resampled for both "
        f"systems at once, leaves out zero. Intervals shown: {count}; without any true "
        f"difference about {chance:.2g} of them would leave it out by chance.",
        "N to see it: clips with which a difference of this size would be resolved 8 times out "
        "of 10.",
    ]


def interval_notes(comparison: Comparison) -> list[str]:
    """Say what the intervals of the scores themselves are for, or why there is none."""
    return _by_report(comparison, "intervals", "")


def method_notes(comparison: Comparison, differences: Iterable[Found]) -> list[str]:
    """Say what the intervals of differences shown come from, or why there is none."""
    shown = list(differences)
    lines = []
    for score in comparison["scores"].values():
        own = [found for found in score["differences"] if found in shown]
        methods = dict.fromkeys(found["method"] for found in own)
        lines += [f"{score['label']}, difference: {method}" for method in methods]
    return lines


def library_notes(comparison: Comparison) -> list[str]:
    """Return the packages of which the reports had different versions."""
    lines = []
    for package, versions in comparison["libraries"].items():
        found = ", ".join(f"{version} in {name}" for name, version in versions.items())
        lines.append(f"made with different versions of {package}: {found}")
    return lines


def left_out(comparison: Comparison) -> list[str]:
    """Return the metrics that only some of the reports have."""
    return [
        f"not in all reports, so left out: {', '.join(keys)} of {name}"
        for name, keys in comparison["only_in"].items()
        if keys
    ]


def _by_report(comparison: Comparison, field: str, kind: str) -> list[str]:
    """Return the texts of all reports, each once, after the names of those that have it."""
    owners: dict[str, list[str]] = {}
    for report in comparison["reports"]:
        for text in dict.fromkeys(report[field]):
            owners.setdefault(text, []).append(report["name"])
    return [f"{', '.join(names)}: {kind}{text}" for text, names in owners.items()]
