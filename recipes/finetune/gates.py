"""Did a fine-tuning reach what it has to? python -m recipes.finetune.gates --run runs/finetune

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run. Other sounds or settings than those of
expected.json are bound by nothing, which is said.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.audiogen_cpu.held_out import OWN as CAPTION
from recipes.finetune.forgetting import OTHER
from recipes.finetune.judge import BASE, SOUNDS
from recipes.gates import Outcome, check_own, gates_command, other_than
from recipes.page.inputs import MissingInputError, Run
from recipes.page.timing import stage_times, totals

EXPECTED = Path(__file__).with_name("expected.json")
EXPERIMENT = "finetune_lora"
STAGES = {
    "base": "the model to begin with",
    "data": "sounds",
    "codec": "can the codec say them?",
    "crops": "crops of the training clips",
    "tokens": "sounds to codes",
    "lm": "fine-tune",
    "judge": "what held-out codes cost",
    "forgetting": "how far it moved",
    "samples": "generate",
    "nearest": "nearest training clips",
    "report": "this page",
}  # the names of run.sh, in its order
REQUIRED = tuple(name for name in STAGES if name not in ("crops", "report"))


def measure(
    run: Run, judged: Mapping[str, Any], moved: Mapping[str, Any], nearest: Mapping[str, Any]
) -> dict[str, float | None]:
    """Collect what the gates are about; None for what is not there."""
    seconds, memory = totals(stage_times(run.stages, STAGES), REQUIRED)
    known = judged.get(BASE)
    return {
        "clips": judged[SOUNDS]["n"],
        "gain_low": judged[SOUNDS]["tuned"][CAPTION]["low"],
        "gain": judged[SOUNDS]["tuned"][CAPTION]["nats"],
        "forgotten": -known["tuned"][CAPTION]["nats"] if known else None,
        "moved_elsewhere": moved[OTHER]["moved"]["nats"],
        "alarms": sum(row["alarm"] for row in nearest["samples"]),
        "wall_seconds": seconds,
        "peak_bytes": memory,
    }


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json; its gates bind its own experiment on ESC-50 alone.

    Raises:
        ValueError: if the run is not that far, or a file of it is damaged.
    """
    judged = run.json("judged.json", stage="judge")
    moved = run.json("forgetting.json", stage="forgetting")
    nearest = run.json("nearest/nearest.json", stage="nearest")
    history = run.history("train_lm", stage="lm")
    try:
        measured = measure(run, judged, moved, nearest)
        sources = judged[SOUNDS]["sources"]
    except (KeyError, TypeError) as error:
        raise MissingInputError(f"{run.folder}: its results are damaged: {error!r}") from error
    return check_own(measured, EXPECTED, sources=sources, history=history, experiment=EXPERIMENT)


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    prog = "python -m recipes.finetune.gates"
    unbound = other_than(EXPERIMENT)
    return gates_command(outcomes_of, argv, prog=prog, description=__doc__, unbound=unbound)


if __name__ == "__main__":
    sys.exit(main())
