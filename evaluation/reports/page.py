"""A report as one HTML page: its sounds, pictures and script are inside, nothing is fetched."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.reports.files import flatten
from evaluation.reports.notes import group_note
from evaluation.reports.page_sounds import choose_clips, embed_clips, end_places
from evaluation.reports.pictures import can_draw, draw_spread
from evaluation.reports.tables import (
    STAND_IN,
    class_rows,
    class_title,
    group_rows,
    is_of_clips,
    is_stand_in,
    item_title,
    label_of,
    rank_items,
    sanity_rows,
    score_rows,
    value_keys,
    value_of,
)

if TYPE_CHECKING:
    from evaluation.reports.report import Report

TEMPLATES = Path(__file__).with_name("templates")
FEWEST_DRAWN = 8  # clips; fewer are read faster in the table
LEVEL = "level_difference_db"
MOST_ROWS = 5000  # clips in the table of all; the report's JSON and CSV have every one


def render_page(template: str, **context: Any) -> str:
    """Fill a template; every text from outside is escaped.

    Args:
        template: name of a file among the templates.
        context: what the template names.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**context)


def report_page(report: "Report", *, sounds: int) -> str:
    """Return a report as a page.

    Args:
        report: what to show.
        sounds: how many of the worst and of the best clips by each metric get players.
    """
    keys = _in_order(report)
    ranked = {key: rank_items(report.items, report.scores[key]) for key in keys}
    clips, sound_notes = _clips(report, ranked, sounds)
    return render_page(
        "report.html.j2",
        report=report,
        score_rows=score_rows(report.scores, interval_title=report.interval_title()),
        limits=report.limits(),
        notes=_folded(report),
        stand_ins=[
            label_of(s).removeprefix(STAND_IN) for s in report.scores.values() if is_stand_in(s)
        ],
        pictures=_pictures(report, keys),
        sanity=sanity_rows(report.scores, report.sanity),
        battery=report.data.get("sanity") or {},
        orders=[item_title(report.scores[key]) for key in keys],
        clips=clips,
        **_ends(clips),
        sound_notes=sound_notes,
        classes=class_rows(report.scores, report.classes),
        class_title=class_title(report.scores, report.classes),
        groups=[
            (kind, group_rows(report.scores, groups, kind="group"), group_note(groups))
            for kind, groups in report.breakdown.items()
        ],
        **_every(report, ranked),
        card_text=yaml.safe_dump(report.to_dict()["protocol"], sort_keys=False, allow_unicode=True),
        facts=list(_facts(report)),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
    )


def _folded(report: "Report") -> list[str]:
    """Return the notes that do not stand on the page by themselves."""
    seen = report.limits()
    return [
        note
        for note in report.notes()
        if note not in seen and not note.startswith(("flag: ", "warning: "))
    ]


def _in_order(report: "Report") -> list[str]:
    """Return the metrics of which clips have values: first those that compare a pair.

    The level says nothing of what is heard, and how far a clip is from all references is no
    quality: these come last.
    """
    keys = value_keys(report.items, report.scores)
    return sorted(keys, key=lambda key: (not is_of_clips(report.scores[key]), key == LEVEL))


def _clips(
    report: "Report", ranked: Mapping[str, Sequence[Mapping[str, Any]]], ends: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what the page shows of the clips at the ends of each metric, and notes about them."""
    orders = [[item["name"] for item in order] for order in ranked.values()]
    names = choose_clips(orders, ends=ends)
    players, notes = embed_clips(names, report.items, report.data)
    places = [end_places(order, ends=ends) for order in orders]
    items = {item["name"]: item for item in report.items}
    clips = [
        {
            "name": name,
            "kind": items[name].get("class"),
            "captions": items[name].get("captions") or (),
            "values": [
                (item_title(report.scores[key]), text)
                for key, text in zip(ranked, _texts(report, items[name], ranked), strict=True)
            ],
            "player": players.get(name),
            "order": [place.get(name) for place in places],
        }
        for name in names
    ]
    return clips, notes


def _ends(clips: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Split the clips into the worst and best by the first metric, and those of the others."""
    first = [(clip["order"][0] or (None, None), clip) for clip in clips]
    ends = [
        [clip for _, clip in sorted(((p[e], c) for p, c in first if p[e] is not None), key=_place)]
        for e in (0, 1)
    ]
    rest = [clip for place, clip in first if place == (None, None)]
    return {"worst": ends[0], "best": ends[1], "rest": rest}


def _place(entry: tuple[Any, Any]) -> Any:
    return entry[0]


def _every(
    report: "Report", ranked: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[Any]]:
    """Return the table of all clips, the worst by the first metric first, those without it last."""
    if not ranked:
        return {"columns": [], "extras": [], "every": []}
    first = next(iter(ranked.values()))
    known = {item["name"] for item in first}
    items = [*first, *(item for item in report.items if item["name"] not in known)][:MOST_ROWS]
    extras = [name for name in ("class", "captions") if any(item.get(name) for item in items)]
    rows = [
        {
            "name": item["name"],
            "values": _texts(report, item, ranked),
            "extras": [_extra_text(item.get(name)) for name in extras],
        }
        for item in items
    ]
    columns = [item_title(report.scores[key]) for key in ranked]
    return {"columns": columns, "extras": [name.capitalize() for name in extras], "every": rows}


def _texts(report: "Report", item: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Return the values of a clip as text, "n/a" where there is none."""
    values = [value_of(item, key) for key in keys]
    return ["n/a" if value is None else f"{value:.4g}" for value in values]


def _extra_text(value: str | Sequence[str] | None) -> str:
    return value or "" if value is None or isinstance(value, str) else " / ".join(value)


def _pictures(report: "Report", keys: Sequence[str]) -> list[tuple[str, Markup]]:
    """Draw how the values of clips are spread, one picture per metric; none without matplotlib."""
    pictures = []
    for key in keys if can_draw() else ():
        score = report.scores[key]
        values = [value for item in report.items if (value := value_of(item, key)) is not None]
        if len(values) >= FEWEST_DRAWN:
            averaged = is_of_clips(score)
            picture = draw_spread(
                values,
                center=score.value if averaged else math.nan,
                interval=score.interval if averaged else None,
            )
            pictures.append((item_title(score), Markup(picture)))
    return pictures


def _facts(report: "Report") -> Iterator[tuple[str, Any]]:
    yield "seed", report.seed
    for name in ("provenance", "features"):
        yield from flatten(getattr(report, name), name)
    for name in ("reference", "generated", "captions", "labels"):
        yield from flatten(report.data.get(name), name)
