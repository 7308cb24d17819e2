"""Did a run reach what it has to? python -m recipes.audiogen_cpu.gates --run runs/audiogen_cpu

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run. Other sounds or settings than those of
expected.json are bound by nothing, which is said.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED
from recipes.gates import Outcome, check_own, gates_command, other_than
from recipes.page.inputs import History, Run
from recipes.page.timing import stage_times, totals

EXPECTED = Path(__file__).with_name("expected.json")
EXPERIMENT = "audiogen_cpu"
STAGES = {
    "data": "sounds",
    "codec": "train the codec",
    "crops": "crops of the training clips",
    "tokens": "sounds to codes",
    "lm": "train the language model",
    "judge": "what held-out codes cost",
    "samples": "generate",
    "report": "this page",
}  # the names of run.sh, in its order
REQUIRED = tuple(name for name in STAGES if name not in ("codec", "report"))


def measure(run: Run, found: Mapping[str, Any], history: History) -> dict[str, float | None]:
    """Collect what the gates are about; None for what is not there.

    Args:
        run: for time and memory.
        found: what judged/test.json holds.
        history: of the training of the language model.
    """
    times = [t for t in stage_times(run.stages, STAGES) if t.stage != "codec"]
    seconds, memory = totals(times, REQUIRED)
    _, losses = history.series("val/loss")
    return {
        "clips": found["n"],
        "no_caption": found["gains"][NONE]["nats"],
        "shuffled_low": found["gains"][SHUFFLED]["low"],
        "below_uniform": math.log(found["codebook_size"]) - found["nats"][OWN],
        "overfit": losses[-1] - min(losses) if losses else None,
        "wall_seconds": seconds,
        "peak_bytes": memory,
    }


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json; its gates bind its own experiment on ESC-50 alone.

    Raises:
        ValueError: if the run is not that far, or a file of it is damaged.
    """
    found = run.json("judged/test.json", stage="judge")
    history = run.history("train_lm", stage="lm")
    try:
        measured = measure(run, found, history)
        sources = found["sources"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{run.folder}/judged/test.json is damaged: {error!r}") from error
    return check_own(measured, EXPECTED, sources=sources, history=history, experiment=EXPERIMENT)


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    prog = "python -m recipes.audiogen_cpu.gates"
    unbound = other_than(EXPERIMENT)
    return gates_command(outcomes_of, argv, prog=prog, description=__doc__, unbound=unbound)


if __name__ == "__main__":
    sys.exit(main())
