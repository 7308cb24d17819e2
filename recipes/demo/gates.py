"""Did a run of the demo reach what it has to? python -m recipes.demo.gates --run runs/demo

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.demo.page.inputs import MissingInputError, Run, is_number
from recipes.demo.page.timing import stage_times, totals

EXPECTED = Path(__file__).with_name("expected.json")
HOLDS, FAILS, NOT_MEASURED = "holds", "fails", "not measured"
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


def all_hold(outcomes: Sequence[Outcome]) -> bool:
    """Whether every binding gate was measured and holds; False if none binds."""
    states = [outcome.state for outcome in outcomes if outcome.binding]
    return bool(states) and all(state == HOLDS for state in states)


def measure(run: Run) -> dict[str, float | None]:
    """Collect what the gates are about from the files of a run; None for what is not there."""
    try:
        scores = run.json("scores.json", stage="probe")
    except MissingInputError:
        scores = {}
    seconds, memory = totals(stage_times(run.stages))
    return {
        **measure_scores(scores),
        "caption_nats": _caption_nats(run),
        "wall_seconds": seconds,
        "peak_bytes": memory,
    }


def measure_scores(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Collect what the gates are about from scores.json."""
    main = (scores.get("probe") or {}).get("main")
    real, roundtrip, generated, shuffled = (
        _accuracy(scores, name, main) for name in ("real", "roundtrip", "generated", "shuffled")
    )
    books = scores.get("codebooks") or {}
    size = books.get("codebook_size")
    perplexity = _smallest(books.get("perplexity") or [])
    return {
        "clips": scores["n"] if main and is_number(scores.get("n")) else None,
        "probe_on_real": real,
        "roundtrip_over_real": _ratio(roundtrip, real),
        "generated_over_roundtrip": _ratio(generated, roundtrip),
        "generated_over_floor": _ratio(generated, shuffled, over_zero=math.inf),
        "codebook_perplexity_share": _ratio(perplexity, size),
        "family_rms_roundtrip": _quietest(scores, "roundtrip"),
        "family_rms_generated": _quietest(scores, "generated"),
    }


def read_gates(path: Path = EXPECTED) -> list[dict[str, Any]]:
    """Read the gates of expected.json."""
    gates: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["gates"]
    return gates


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json."""
    return check(measure(run), read_gates(), sounds=run.sounds)


def _outcome(gate: Mapping[str, Any], value: float | None, binding: bool) -> Outcome:
    lowest, unit = "at_least" in gate, gate["unit"]
    bound: float = gate["at_least"] if lowest else gate["at_most"]
    state = reached = NOT_MEASURED
    if value is not None:
        state = HOLDS if (value >= bound if lowest else value <= bound) else FAILS
        reached = _text(value, unit)
        if state == FAILS and reached == _text(bound, unit):
            reached = f"{value:.8g} {unit}".strip()  # rounding would hide why it fails
    return Outcome(
        name=gate["name"],
        title=gate["title"],
        expected=f"{'≥' if lowest else '≤'} {_text(bound, unit)}",
        goal=_text(gate["goal"], unit) if "goal" in gate else None,
        reached=reached,
        state=state,
        binding=binding,
    )


def _text(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{value / 60:.1f} min"
    if unit == "bytes":
        return f"{value / 1e9:.2f} GB"
    if math.isinf(value):
        return "over zero"
    if unit == "clips":
        return f"{value:.0f}"
    return f"{value:.{3 if abs(value) < 1 else 2}f} {unit}".strip()


def _accuracy(scores: Mapping[str, Any], name: str, label: str | None) -> float | None:
    labels = ((scores.get("sets") or {}).get(name) or {}).get("labels") or {}
    value = (labels.get(label) or {}).get("accuracy")
    return float(value) if is_number(value) else None


def _ratio(
    part: float | None, whole: float | None, *, over_zero: float | None = None
) -> float | None:
    """Part over whole; over a whole of 0 as given, unless the part is 0 as well."""
    if not is_number(part) or not is_number(whole):
        return None
    if whole == 0:
        return over_zero if part > 0 else None
    return part / whole


def _quietest(scores: Mapping[str, Any], name: str) -> float | None:
    rows = scores.get("classes") or []
    return _smallest([(row.get("rms_ratio") or {}).get(name) for row in rows])


def _smallest(values: Sequence[Any]) -> float | None:
    """The smallest of some numbers; None if there are none or one of them is not a number."""
    if not values or not all(is_number(value) for value in values):
        return None
    return float(min(values))


def _caption_nats(run: Run) -> float | None:
    true, shuffled = "val/loss", "val/loss_shuffled_captions"
    try:
        row = run.history("train_lm", stage="lm").last_with(true, shuffled)
    except MissingInputError:
        return None
    return None if row is None else row[shuffled] - row[true]


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="recipes.demo.gates", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the demo run")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        print(f"error: {args.run} is not a folder; `make demo` makes a run", file=sys.stderr)
        return 2
    outcomes = outcomes_of(Run(folder=args.run))
    width = max(len(outcome.title) for outcome in outcomes)
    for outcome in outcomes:
        state = outcome.state if outcome.binding else f"{outcome.state} (not binding)"
        print(f"{outcome.title:<{width}}  {outcome.expected:<12}  {outcome.reached:<12}  {state}")
    return 0 if all_hold(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
