"""Did a run reach what it has to? python -m recipes.audiocaps_metrics.gates --run RUN

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run. Gates bind facebook/audiogen-medium on the
AudioCaps test set, and stand-ins; of other models there is nothing to expect.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.catalog import METRICS
from recipes.audiocaps_metrics.own import Own, read_own
from recipes.gates import Outcome, check, gates_command, read_gates
from recipes.page.inputs import Run

EXPECTED = Path(__file__).with_name("expected.json")
REPRODUCED = "audiogen-medium on AudioCaps"
STAND_IN = "stand-in"
OTHER = "another model"
MEDIUM = "facebook/audiogen-medium"
NAMES = {"fad": "fad_vggish", "kld": "kld_passt", "clap": "clap_score"}


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json.

    Raises:
        ValueError: if it was not scored yet, or a file of it is damaged.
    """
    own = read_own(run)
    if not own:
        raise ValueError(f"{run.folder / 'scores'} holds no report: nothing was scored yet")
    sounds = kind(own)
    return check(measure(run, own, sounds), read_gates(EXPECTED), sounds=sounds)


def kind(own: Sequence[Own]) -> str:
    """Say which gates bind a run."""
    if any(o.is_stand_in(score) for o in own for score in o.report.scores.values()):
        return STAND_IN
    return REPRODUCED if own[0].model == MEDIUM else OTHER


def measure(run: Run, own: Sequence[Own], sounds: str) -> dict[str, float | None]:
    """Collect what the gates are about; None for what was not measured, or would mean nothing."""
    peaks: list[Any] = [row.get("bytes") for row in run.stages]
    peak = max((float(peak) for peak in peaks if peak), default=None)
    if sounds == STAND_IN:
        every = [(o, score) for o in own for score in o.report.scores.values()]
        networks = [(o, score) for o, score in every if METRICS[score.name].network]
        unmarked = sum(not o.is_stand_in(score) for o, score in networks)
        return {"scores": float(len(every)), "unmarked": float(unmarked), "peak_bytes": peak}
    card = next((o for o in own if o.card == "audiocraft"), None)
    found = {name: None if card is None else card.value(key) for name, key in NAMES.items()}
    return {
        "clips": None if card is None else float(card.report.data["pairs"]),
        **{name: None if score is None else score.value for name, score in found.items()},
        "peak_bytes": peak,
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    prog = "python -m recipes.audiocaps_metrics.gates"
    unbound = f"other models than {MEDIUM}"
    return gates_command(outcomes_of, argv, prog=prog, description=__doc__, unbound=unbound)


if __name__ == "__main__":
    sys.exit(main())
