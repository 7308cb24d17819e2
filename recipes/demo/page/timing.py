"""How long the stages of the demo took."""

from typing import Any

from recipes.page.inputs import Run
from recipes.page.timing import time_table

STAGES = {
    "data": "sounds",
    "probe_data": "sounds for the probe",
    "codec": "train the codec",
    "tokens": "sounds to codes",
    "lm": "train the language model",
    "samples": "generate",
    "probe": "train the probe, listen",
    "evaluation": "metrics",
    "report": "this page",
}  # the names of run.sh, in its order
REQUIRED = tuple(name for name in STAGES if name not in ("probe_data", "report"))


def timing_section(run: Run) -> dict[str, Any]:
    """Return the table of stages, the totals and the machine."""
    return time_table(run, STAGES, REQUIRED)
