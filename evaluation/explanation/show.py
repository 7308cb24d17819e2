"""Effects of the choices of a protocol for people: text with bars, and a page with pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.comparison.notes import stand_in_lines
from evaluation.comparison.show import title
from evaluation.reports.latex import MARK
from evaluation.reports.rows import STAND_IN_NOTE
from evaluation.reports.tables import Rows, as_text

BAR = 20  # characters of the longest bar
DRAWN = 15  # effects in a picture, the largest; the table has all
Explanation = Mapping[str, Any]


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation as lines for a terminal."""
    lines = [*stand_in_lines(explanation["scores"].values()), summary(explanation), ""]
    for key, score in explanation["scores"].items():
        lines += [head(score, explanation["interval"])]
        rows = effect_rows(score)
        lines += as_text(rows) if len(rows) > 1 else []
        lines += beside_effects(score)
        way = way_rows(explanation, key)
        if way:
            goal = explanation["toward"]["protocol"]
            lines += ["", f"toward {goal['title']}:", *as_text(way)]
        lines.append("")
    return "\n".join([*lines, *notes(explanation)])


def summary(explanation: Explanation) -> str:
    """Return one line: card, N, and which sounds."""
    card = explanation["protocol"]
    return (
        f"protocol {card['title']}; one choice at a time made otherwise; "
        f"N = {explanation['pairs']} pairs, references sha256 {explanation['references'][:12]}"
    )


def head(score: Mapping[str, Any], interval: str) -> str:
    """Return the line over a metric's effects: its value as the card says."""
    own = score["interval"]
    text = f", {interval} [{own[0]:.4g}, {own[1]:.4g}]" if own else ""
    return f"{title(score)}: {score['value']:.4g}{text}, N = {score['n']}"


def effect_rows(score: Mapping[str, Any]) -> Rows:
    """Return a row per choice that moves a metric, the largest effect first, with a bar."""
    rows: Rows = [("switch", "change", "value", "effect", "", "beside the interval")]
    moved = [effect for effect in score["effects"] if effect["effect"]]
    largest = max((abs(effect["effect"]) for effect in moved), default=0.0)
    for effect in moved:
        interval = effect["effect_interval"]
        sure = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
        rows.append(
            (
                effect["switch"],
                effect["change"],
                _number(effect, stand_in=score["stand_in"]),
                f"{effect['effect']:+.3g}{sure}",
                "#" * round(BAR * abs(effect["effect"]) / largest),
                {True: "beyond it", False: "within it", None: ""}[effect["beyond_interval"]],
            )
        )
    return rows


def beside_effects(score: Mapping[str, Any]) -> list[str]:
    """Return what else was tried on a metric, a line each: what moved nothing, and why."""
    still = [_name(effect) for effect in score["effects"] if effect["effect"] == 0]
    lines = [f"no effect: {'; '.join(still)}"] if still else []
    lines += [
        f"no value with {_name(effect)}: {effect['reason']}"
        for effect in score["effects"]
        if effect["effect"] is None
    ]
    others = dict.fromkeys(entry["switch"] for entry in score["does_not_apply"])
    lines += [f"does not apply to this metric: {', '.join(others)}"] if others else []
    half = score["half_of_the_clips"]
    if half is not None:
        value = (
            "no value"
            if half["value"] is None
            else f"{_number(half, stand_in=score['stand_in'])} ({half['effect']:+.3g})"
        )
        lines.append(
            f"no choice of the protocol: a random half of the clips, N = {half['n']}, gives "
            f"{value}; fewer clips alone can do that"
        )
    return lines


def way_rows(explanation: Explanation, key: str) -> Rows:
    """Return a row per stop of a metric on the way to the other card; nothing without one."""
    toward = explanation["toward"]
    if toward is None or key not in toward["scores"]:
        return []
    rows: Rows = [("change", "value", "effect")]
    for stop in toward["scores"][key]:
        value = (
            f"not to be had: {stop['reason']}"
            if stop["value"] is None
            else _number(stop, stand_in=stop["stand_in"])
        )
        effect = "" if not stop["effect"] else f"{stop['effect']:+.3g}"
        rows.append((stop["change"], value, effect))
    return rows


def notes(explanation: Explanation) -> list[str]:
    """Return what a reader must also know, one line each."""
    effects = [effect for s in explanation["scores"].values() for effect in s["effects"]]
    lines = [f"{MARK} {STAND_IN_NOTE}"] if explanation["stand_in"] else []
    sure = any(effect["effect"] and effect["effect_interval"] for effect in effects)
    brackets = "; in brackets its interval from a paired bootstrap, where clips have values of "
    lines.append(
        "effect: value with the choice made otherwise, less the value as the card says"
        + (f"{brackets}their own." if sure else ".")
    )
    if any(effect["beyond_interval"] is not None for effect in effects):
        lines.append(
            "beside the interval: whether the changed value lies within the interval that chance "
            "in the choice of clips gives the score."
        )
    toward = explanation["toward"]
    if toward is not None:
        both = (("only_in_start", explanation["protocol"]), ("only_in_goal", toward["protocol"]))
        for field, card in both:
            keys = ", ".join(toward[field])
            lines += [f"not on the way, only {card['title']} has: {keys}"] if keys else []
    lines += [f"not tried: {text}" for text in not_tried(explanation)]
    return lines + [f"warning: {text}" for text in explanation["warnings"]]


def not_tried(explanation: Explanation) -> Iterator[str]:
    """Yield the choices that could not be tried, with why."""
    for entry in explanation["not_tried"]:
        yield f"{_name(entry)}: {entry['reason']}"


def explanation_page(explanation: Explanation) -> str:
    """Return an explanation as one HTML page that needs no other file.

    Raises:
        ModuleNotFoundError: if jinja2 is not installed.
    """
    from evaluation.reports.page import render_page  # jinja2 is optional

    scores = [
        {
            "head": head(score, explanation["interval"]),
            "rows": [(*row[:4], row[5]) for row in effect_rows(score)],
            "still": beside_effects(score),
            "way": way_rows(explanation, key),
            "picture": _tornado(score),
        }
        for key, score in explanation["scores"].items()
    ]
    return render_page(
        "explain.html.j2",
        explanation=explanation,
        summary=summary(explanation),
        stand_ins=[line for line in stand_in_lines(explanation["scores"].values()) if line],
        scores=scores,
        notes=notes(explanation),
    )


def _tornado(score: Mapping[str, Any]) -> Any:
    """Draw the effects on a metric beside the interval of its value; None if there are none."""
    from markupsafe import Markup

    from evaluation.reports.pictures import Effect, can_draw, draw_effects

    moved = [effect for effect in score["effects"] if effect["effect"]][:DRAWN]
    if not moved or not can_draw():
        return None
    effects = [
        Effect(label=_name(effect), value=effect["effect"], interval=effect["effect_interval"])
        for effect in moved
    ]
    own: Sequence[float] | None = score["interval"]
    band = None if own is None else (own[0] - score["value"], own[1] - score["value"])
    return Markup(draw_effects(effects, label="effect", band=band))


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['switch']} ({entry['change']})" if entry["change"] else entry["switch"]


def _number(entry: Mapping[str, Any], *, stand_in: bool) -> str:
    """Return a value, with a mark that goes with it where it is of random weights."""
    return f"{entry['value']:.4g}{MARK if stand_in else ''}"
