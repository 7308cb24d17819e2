"""Two reports side by side, or a refusal that names what makes them incomparable."""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from evaluation.report import Report, Score, flatten


class CompareError(ValueError):
    """Two reports whose numbers do not mean the same thing: which fields differ."""


def compare_reports(path_a: Path, path_b: Path) -> dict[str, Any]:
    """Compare two reports score by score.

    Returns:
        JSON values: per metric the two values, their intervals, b - a, and, where every pair has
        its own value, a paired bootstrap interval of that difference over clips.

    Raises:
        ReportError: if a file is not a report.
        CompareError: if the two were made under different protocols, on other references, or
            with another version of the instrument.
    """
    report_a, report_b = Report.from_json(path_a), Report.from_json(path_b)
    differing = list(differing_fields(report_a, report_b))
    if differing:
        shown = "; ".join(
            f"{name} is {a!r} in {path_a} and {b!r} in {path_b}" for name, a, b in differing[:3]
        )
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CompareError(f"not comparable: {shown}{more}. Score both the same way.")
    common = [key for key in report_a.scores if key in report_b.scores]
    if not common:
        raise CompareError(f"{path_a} and {path_b} have no metric in common. Score both again.")
    return {
        "a": str(path_a),
        "b": str(path_b),
        "protocol": report_a.protocol["name"],
        "pairs": report_a.data["pairs"],
        "scores": {key: _compare_score(key, report_a, report_b) for key in common},
        "only_in_a": sorted(report_a.scores.keys() - report_b.scores.keys()),
        "only_in_b": sorted(report_b.scores.keys() - report_a.scores.keys()),
    }


def differing_fields(report_a: Report, report_b: Report) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, a, b) for every field that must agree and does not."""
    common = report_a.scores.keys() & report_b.scores.keys()
    a, b = _must_agree(report_a, common), _must_agree(report_b, common)
    for name in a | b:
        value_a, value_b = a.get(name, "absent"), b.get(name, "absent")
        if value_a != value_b:
            yield name, value_a, value_b


def comparison_text(comparison: dict[str, Any]) -> str:
    """Return a comparison as lines for a terminal."""
    lines = [
        f"a = {comparison['a']}",
        f"b = {comparison['b']}",
        f"protocol {comparison['protocol']}, N = {comparison['pairs']} pairs",
    ]
    for row in comparison["scores"].values():
        interval = row["difference_interval"]
        sure = f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
        lines.append(
            f"{row['label']}: a {_number(row['a'])}, b {_number(row['b'])}, "
            f"b - a {_number(row['difference'])}{sure} {row['unit']} (N = {row['n']})"
        )
    return "\n".join(lines)


def _must_agree(report: Report, metrics: Set[str]) -> dict[str, Any]:
    prose = ("description", "source")
    card = {name: value for name, value in report.protocol.items() if name not in prose}
    fields = dict(flatten(card, "protocol"))
    fields["instrument"] = report.provenance["instrument"]
    fields["reference.sha256"] = report.data["reference"]["sha256"]
    fields["pairs"] = report.data["pairs"]
    for key in sorted(metrics):
        details = report.scores[key].details
        for name in ("embedder", "embedder_version", "listener", "listener_version"):
            if name in details:
                fields[f"{key}.{name}"] = details[name]
    return fields


def _compare_score(key: str, report_a: Report, report_b: Report) -> dict[str, Any]:
    a, b = report_a.scores[key], report_b.scores[key]
    return {
        "label": a.label,
        "unit": a.unit,
        "best": a.best,
        "n": min(a.n, b.n),
        "a": _finite(a),
        "b": _finite(b),
        "a_interval": a.interval,
        "b_interval": b.interval,
        "difference": None if None in (_finite(a), _finite(b)) else b.value - a.value,
        "difference_interval": _paired_interval(key, report_a, report_b),
    }


def _paired_interval(key: str, report_a: Report, report_b: Report) -> list[float] | None:
    """Interval of the difference of medians or means, resampling the clips both reports have."""
    values_a, values_b = _values(key, report_a), _values(key, report_b)
    names = sorted(values_a.keys() & values_b.keys())
    if not names or None in (_finite(report_a.scores[key]), _finite(report_b.scores[key])):
        return None
    import numpy as np  # scipy takes seconds to load, and a refusal should not

    from evaluation.interval import clip_interval
    from evaluation.protocol import Bootstrap

    a = np.array([values_a[name] for name in names])
    b = np.array([values_b[name] for name in names])
    center = np.mean if report_a.scores[key].details.get("statistic") == "mean" else np.median
    interval = clip_interval(
        len(names),
        lambda indices: float(center(b[indices]) - center(a[indices])),
        settings=Bootstrap(**report_a.protocol["bootstrap"]),
        method="percentile",
    )
    return list(interval) if interval else None


def _values(key: str, report: Report) -> dict[str, float]:
    return {
        item["name"]: item["values"][key]
        for item in report.items
        if item["values"].get(key) is not None
    }


def _finite(score: Score) -> float | None:
    return None if score.value != score.value else score.value


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"
