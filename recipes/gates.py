"""What a run has to reach: measured values held against the gates of an expected.json."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.command import Parser, exit_code
from recipes.page.inputs import History, Run

HOLDS, FAILS, NOT_MEASURED = "holds", "fails", "not measured"
OTHER = "other sounds or settings"
HEADING = "checks of this run"
Measured = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One gate: what was expected, what was reached."""

    name: str
    title: str
    expected: str
    goal: str | None  # what would be good, where that is more than what is expected
    reached: str
    state: str  # HOLDS, FAILS or NOT_MEASURED
    binding: bool  # False where the bound was set for other sounds


def read_gates(path: Path) -> list[dict[str, Any]]:
    """Read the gates of an expected.json.

    Each has a name, a title, a unit, ``at_least`` or ``at_most`` or both, and under "sounds" what
    it was set for.
    """
    gates: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["gates"]
    return gates


def check(measured: Measured, gates: Sequence[Mapping[str, Any]], *, sounds: str) -> list[Outcome]:
    """Hold measured values against their gates.

    Args:
        measured: by name; None and NaN are "not measured", which never holds.
        gates: entries of expected.json.
        sounds: what the run was trained on. Gates for other sounds are part of the result, not
            binding, if they were measured and none of the same name binds.
    """
    bound = {gate["name"] for gate in gates if sounds in gate["sounds"]}
    outcomes = []
    for gate in gates:
        value, binding = measured.get(gate["name"]), sounds in gate["sounds"]
        known = value is not None and not math.isnan(value)
        if binding or (known and gate["name"] not in bound):
            outcomes.append(_outcome(gate, value if known else None, binding))
    return outcomes


def check_own(
    measured: Measured,
    path: Path,
    *,
    sources: Sequence[str],
    history: History | None,
    experiment: str,
) -> list[Outcome]:
    """Hold a run on recordings against an expected.json, which binds one experiment.

    Args:
        measured: see `check`.
        path: of the expected.json.
        sources: where the sounds are from; gates bind those of a single source.
        history: of the training, which has the experiment's name.
        experiment: the one that the gates were set for.
    """
    own = history is not None and history.run.startswith(f"{experiment}-") and len(sources) == 1
    return check(measured, read_gates(path), sounds=sources[0] if own else OTHER)


def other_than(experiment: str) -> str:
    """Say which runs the gates of `check_own` do not bind."""
    return f"{OTHER} than ESC-50 with {experiment}"


def all_hold(outcomes: Sequence[Outcome]) -> bool:
    """Whether every binding gate was measured and holds; False if none binds."""
    states = [outcome.state for outcome in outcomes if outcome.binding]
    return bool(states) and all(state == HOLDS for state in states)


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Say how many of the binding gates hold."""
    states = [outcome.state for outcome in outcomes if outcome.binding]
    holding, failing = states.count(HOLDS), states.count(FAILS)
    rest = len(states) - holding - failing
    parts = [f"{holding} of {len(states)} hold", f"{failing} fail" if failing else ""]
    parts.append(f"{rest} not measured" if rest else "")
    return ", ".join(part for part in parts if part)


def show(outcomes: Sequence[Outcome]) -> None:
    """Print expected and reached values, a line each."""
    width = max([len(HEADING), *(len(outcome.title) for outcome in outcomes)])
    print(f"{HEADING:<{width}}  {'expected':<12}  reached")
    for outcome in outcomes:
        state = outcome.state if outcome.binding else f"{outcome.state} (not binding)"
        print(f"{outcome.title:<{width}}  {outcome.expected:<12}  {outcome.reached:<12}  {state}")


def gates_command(
    outcomes_of: Callable[[Run], list[Outcome]],
    argv: list[str] | None,
    *,
    prog: str,
    description: str | None,
    unbound: str,
) -> int:
    """Print the table of a run; return the exit code.

    Args:
        outcomes_of: holds the run against its gates; what is wrong with the run is a ValueError.
        argv: words of the command line; None for those of this process.
        prog: the command's name.
        description: what its --help says.
        unbound: the runs that no gate binds, in words.
    """
    parser = Parser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a run of run.sh")
    args = parser.parse_args(argv)
    try:
        outcomes = outcomes_of(Run(folder=args.run))
    except (ValueError, OSError) as error:
        return exit_code(error)
    show(outcomes)
    if not any(outcome.binding for outcome in outcomes):
        print(f"nothing binds {unbound}", file=sys.stderr)
        return 0
    return 0 if all_hold(outcomes) else 1


def _outcome(gate: Mapping[str, Any], value: float | None, binding: bool) -> Outcome:
    unit = gate["unit"]
    lowest, highest = gate.get("at_least", -math.inf), gate.get("at_most", math.inf)
    state = reached = NOT_MEASURED
    if value is not None:
        state = HOLDS if lowest <= value <= highest else FAILS
        reached = _text(value, unit)
        if state == FAILS and reached in (_text(lowest, unit), _text(highest, unit)):
            reached = f"{value:.8g} {unit}".strip()  # rounding would hide why it fails
    return Outcome(
        name=gate["name"],
        title=gate["title"],
        expected=_bounds(lowest, highest, unit),
        goal=_text(gate["goal"], unit) if "goal" in gate else None,
        reached=reached,
        state=state,
        binding=binding,
    )


def _bounds(lowest: float, highest: float, unit: str) -> str:
    if math.isinf(highest):
        return f"≥ {_text(lowest, unit)}"
    if math.isinf(lowest):
        return f"≤ {_text(highest, unit)}"
    return f"{_text(lowest, '')} to {_text(highest, unit)}"


def _text(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{value / 60:.1f} min"
    if unit == "bytes":
        return f"{value / 1e9:.2f} GB"
    if math.isinf(value):
        return "over zero"
    if unit in ("clips", "codebooks"):
        return f"{value:.0f}"
    return f"{value:.{3 if abs(value) < 1 else 2}f} {unit}".strip()
