"""A comparison as one HTML page that needs no other file."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from evaluation.comparison.notes import flag_notes, notes, stand_in_lines, warning_notes
from evaluation.comparison.show import difference_rows, title, value_rows
from evaluation.reports.page import render_page
from evaluation.reports.pictures import Effect, can_draw, draw_effects

FEWEST_DRAWN = 2  # differences of a metric; one is read faster in the table


def comparison_page(comparison: Mapping[str, Any]) -> str:
    """Return a comparison, as `compare_reports` gives it, as a page."""
    flags, warnings = flag_notes(comparison), warning_notes(comparison)
    loud = {*flags, *warnings}
    return render_page(
        "compare.html.j2",
        comparison=comparison,
        names=[report["name"] for report in comparison["reports"]],
        values=value_rows(comparison),
        differences=difference_rows(comparison),
        stand_ins=[line for line in stand_in_lines(comparison["scores"].values()) if line],
        flags=flags,
        warnings=warnings,
        notes=[line for line in notes(comparison) if line not in loud],
        pictures=_pictures(comparison) if can_draw() else [],
    )


def _pictures(comparison: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Draw the differences of each metric to the first report, where there are several."""
    first = comparison["reports"][0]["name"]
    pictures = []
    for score in comparison["scores"].values():
        effects = [
            Effect(label=found["b"], value=found["value"], interval=found["interval"])
            for found in score["differences"]
            if found["a"] == first and found["value"] is not None
        ]
        if len(effects) >= FEWEST_DRAWN:
            picture = draw_effects(effects, label=f"difference to {first}")
            pictures.append((title(score), Markup(picture)))
    return pictures
