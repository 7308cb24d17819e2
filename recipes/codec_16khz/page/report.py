"""The page of a codec's health; it needs no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.codec_16khz.alarms import BAD, FRAMES_PER_ENTRY, QUIET, THRESHOLDS
from recipes.codec_16khz.gates import REQUIRED, STAGES, measure, outcomes_of
from recipes.codec_16khz.judged import Judged
from recipes.codec_16khz.page.listen import listen_section
from recipes.codec_16khz.page.usage import usage_charts
from recipes.gates import verdict
from recipes.page.curves import about, codec_curves
from recipes.page.inputs import History, MissingInputError, Run
from recipes.page.render import attempt, fill
from recipes.page.timing import time_table

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render(
    judged: Judged,
    found: Mapping[str, Any],
    *,
    run: Run | None,
    history: History | None,
    date: str,
) -> str:
    """Return the page; ``found`` is what health.json holds."""
    outcomes = outcomes_of(measure(found, run, history), found, history)
    return fill(
        TEMPLATE,
        title="Codec health",
        date=date,
        found=found,
        bad=BAD,
        quiet=QUIET,
        few_frames=found["health"]["frames"] < FRAMES_PER_ENTRY * found["health"]["codebook_size"],
        thresholds=THRESHOLDS,
        outcomes=outcomes,
        verdict=verdict(outcomes),
        binding=any(outcome.binding for outcome in outcomes),
        usage={"charts": usage_charts(found["counts"])},
        players=attempt(listen_section, judged),
        training=attempt(_training, history),
        timing=attempt(_timing, run),
    )


def _training(history: History | None) -> dict[str, Any]:
    if history is None:
        raise MissingInputError("No training run was given: start again with --run FOLDER.")
    return about(history) | {"charts": codec_curves(history)}


def _timing(run: Run | None) -> dict[str, Any]:
    if run is None or not run.stages:
        raise MissingInputError("Nobody measured the stages: they were not started by run.sh.")
    return time_table(run, STAGES, REQUIRED)
