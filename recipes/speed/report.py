"""What the programs print, and hold against expected.json."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.command import exit_code

EXPECTED = Path(__file__).with_name("expected.json")


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


def parse_works(
    parser: ArgumentParser, argv: Sequence[str] | None, works: Sequence[str], *, smoke: str
) -> Namespace:
    """Read the arguments, with those that both programs take; without a work it is all.

    Args:
        parser: with the arguments of its own.
        argv: None reads those of the process.
        works: what can be measured.
        smoke: what --smoke takes, for its help.
    """
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"{', '.join(works)} (all)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="skip the peaks")
    parser.add_argument("--smoke", action="store_true", help=f"{smoke}, once: does it run?")
    args = parser.parse_args(argv)
    args.work = args.work or list(works)
    unknown = sorted(set(args.work) - set(works))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: choose from {', '.join(works)}")
    return args


def speed_command(
    args: Namespace,
    measure: Callable[[Namespace], dict[str, Any]],
    works: Sequence[str],
    *,
    gated: str | None,
) -> int:
    """Measure, print, compare with expected.json; return the exit code.

    Args:
        args: from `parse_works`.
        measure: gives the report.
        works: what can be in it, in the order of print.
        gated: name of the list in expected.json; None compares with nothing.
    """
    try:
        report = measure(args)
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        return exit_code(error)
    show(report, works)
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    if args.smoke:
        print("\nIt runs. Ratios of a toy model mean nothing: for figures leave out --smoke.")
    failed = gates(report, expected[gated]) if gated else []
    for line in failed:
        print(f"fails: {line}")
    return 1 if failed else 0


def show(report: Mapping[str, Any], works: Sequence[str]) -> None:
    """Print the tables of what was measured of ``works``."""
    print(json.dumps({name: report[name] for name in ("machine", "rates")}))
    for work in (name for name in works if name in report):
        part = report[work]
        print(f"\n{work}" + (f"  floor {json.dumps(part['floor'])}" if "floor" in part else ""))
        for way, values in part["ways"].items():
            cells = (f"{k} {v:.4g}" for k, v in values.items() if isinstance(v, float))
            print(f"  {way:<22}" + "  ".join(cells))
