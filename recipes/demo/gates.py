"""Did a run of the demo reach what it has to? python -m recipes.demo.gates --run runs/demo

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.demo.page.timing import REQUIRED, STAGES
from recipes.gates import Outcome, all_hold, check, read_gates, show
from recipes.page.inputs import MissingInputError, Run, is_number
from recipes.page.timing import stage_times, totals

EXPECTED = Path(__file__).with_name("expected.json")


def measure(run: Run) -> dict[str, float | None]:
    """Collect what the gates are about from the files of a run; None for what is not there."""
    try:
        scores = run.json("scores.json", stage="probe")
    except MissingInputError:
        scores = {}
    seconds, memory = totals(stage_times(run.stages, STAGES), REQUIRED)
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


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json."""
    return check(measure(run), read_gates(EXPECTED), sounds=run.sounds)


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
    show(outcomes)
    return 0 if all_hold(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
