"""What the programs print, and hold against expected.json."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def gates(report: Mapping[str, Any], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line per gate that was measured and fails."""
    failed = []
    for gate in expected:
        value = report.get(gate["work"], {}).get("ways", {}).get(gate["way"], {}).get(gate["value"])
        low, high = gate.get("at_least", -float("inf")), gate.get("at_most", float("inf"))
        if value is not None and not low <= value <= high:
            place = f"{gate['work']} {gate['way']} {gate['value']}"
            failed.append(f"{place}: {value:.3g}, expected {low:g} to {high:g}")
    return failed


def show(report: Mapping[str, Any], works: Sequence[str]) -> None:
    """Print the tables of what was measured of ``works``."""
    print(json.dumps({name: report[name] for name in ("machine", "rates")}))
    for work in (name for name in works if name in report):
        part = report[work]
        print(f"\n{work}" + (f"  floor {json.dumps(part['floor'])}" if "floor" in part else ""))
        for way, values in part["ways"].items():
            cells = (f"{k} {v:.4g}" for k, v in values.items() if isinstance(v, float))
            print(f"  {way:<22}" + "  ".join(cells))
