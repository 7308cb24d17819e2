"""Did a run reach what it has to? python -m recipes.codec_16khz.gates --run runs/codec_16khz

Prints expected and reached values; exit code 0 if every gate that binds the run holds, 1 if one
fails or was not measured, 2 if there is no such run. Other sounds or settings than those of
expected.json are bound by nothing, which is said.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.codec_16khz.alarms import COLLAPSED
from recipes.gates import Outcome, check_own, gates_command, other_than
from recipes.page.inputs import History, Run, is_number
from recipes.page.timing import stage_times, totals

EXPECTED = Path(__file__).with_name("expected.json")
EXPERIMENT = "codec_16khz_cpu"
STAGES = {"data": "sounds", "codec": "train the codec", "health": "health of the codec"}
REQUIRED = ("data", "codec")


def measure(
    found: Mapping[str, Any], run: Run | None, history: History | None
) -> dict[str, float | None]:
    """Collect what the gates are about; None for what is not there.

    Args:
        found: what health.json holds.
        run: for time and memory.
        history: of the training, for what rose and fell.
    """
    books = found["health"]["codebooks"]
    levels = [row["level"] for row in found["classes"]]
    first, last = _ends(history, "val/si_sdr")
    mel_first, mel_last = _ends(history, "val/mel_distance")
    seconds, memory = totals(stage_times(run.stages if run else [], STAGES), REQUIRED)
    return {
        "clips": found["sounds"]["n"],
        "si_sdr_rise": None if first is None or last is None else last - first,
        "mel_fall": mel_last / mel_first if mel_first and mel_last is not None else None,
        "si_sdr": found["scores"]["si_sdr"],
        "mel_distance": found["scores"]["mel_distance"],
        "level": found["scores"]["level"],
        "quietest_level": min(levels) if all(map(is_number, levels)) else None,
        "dead_codebooks": sum(book["perplexity"] < COLLAPSED for book in books),
        "lowest_efficiency": min(book["efficiency"] for book in books),
        "wall_seconds": seconds,
        "peak_bytes": memory,
    }


def outcomes_of(
    measured: Mapping[str, float | None], found: Mapping[str, Any], history: History | None
) -> list[Outcome]:
    """Hold values against expected.json; its gates bind its own experiment on ESC-50 alone."""
    sources = found["sounds"]["sources"]
    return check_own(measured, EXPECTED, sources=sources, history=history, experiment=EXPERIMENT)


def _ends(history: History | None, name: str) -> tuple[float | None, float | None]:
    """First and last value of a name; None before there are two."""
    _, values = history.series(name) if history else ([], [])
    return (values[0], values[-1]) if len(values) > 1 else (None, None)


def _outcomes(run: Run) -> list[Outcome]:
    found = run.json("health/health.json", stage="health")
    history = run.history("train_codec", stage="codec")
    try:
        return outcomes_of(measure(found, run, history), found, history)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{run.folder}/health/health.json is damaged: {error!r}") from error


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    prog = "python -m recipes.codec_16khz.gates"
    unbound = other_than(EXPERIMENT)
    return gates_command(_outcomes, argv, prog=prog, description=__doc__, unbound=unbound)


if __name__ == "__main__":
    sys.exit(main())
