"""Reference curves: what runs of a recipe went through, as bands to lay a run of one's own over.

A curve.json beside a recipe holds, for every logged loss and update, the median of the runs it was
made from and a band that one more such run stays in with a chance of 95 %, as far as so few runs
can tell: Student's t of the runs, their spread pooled over neighboring updates. Only what really
ran is in it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audiogen.files import replacing
from recipes.page.curves import Chart, Line, chart
from recipes.page.inputs import History

CONFIDENCE = 0.95
FEWEST_RUNS = 2
NEIGHBORS = 2  # points on either side that share their spread
LEAST = 0.02  # nats on either side: differences below this are no reason to worry
SHOWN = re.compile(r"(train|val)/(loss|loss_codebook_\d+|loss_no_captions)")
MAIN = "val/loss"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Band:
    """One value over the updates of several runs."""

    steps: Sequence[float]
    median: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    def at(self, step: float) -> tuple[float, float, float] | None:
        """Return low, median and high at an update, between two points by a straight line; None
        outside of them.
        """
        if not self.steps or not self.steps[0] <= step <= self.steps[-1]:
            return None
        values = (np.interp(step, self.steps, line) for line in (self.low, self.median, self.high))
        low, median, high = map(float, values)
        return low, median, high


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a curve.json holds."""

    about: str  # sounds, machine and date, in words
    runs: Sequence[str]  # names of the run folders
    settings: Mapping[str, Any]  # what a run has to share with them, by dotted name
    bands: Mapping[str, Band]  # by logged name


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Where one curve lies."""

    name: str
    inside: int  # points
    points: int
    text: str
    good: bool


def make_bands(histories: Sequence[History]) -> dict[str, Band]:
    """Return the bands of all losses that every run logged, at the updates that all have.

    Raises:
        ValueError: with fewer than two runs, or if they share no point of any loss.
    """
    if len(histories) < FEWEST_RUNS:
        raise ValueError(f"a band takes {FEWEST_RUNS} runs, got {len(histories)}")
    bands = {}
    for name in histories[0].names:
        series = [dict(zip(*history.series(name), strict=True)) for history in histories]
        steps = sorted(set(series[0]).intersection(*series[1:]))
        if SHOWN.fullmatch(name) and steps:
            bands[name] = _band(steps, np.array([[s[step] for step in steps] for s in series]))
    if not bands:
        raise ValueError("these runs have no loss in common; are they of one recipe?")
    return bands


def _band(steps: Sequence[float], values: NDArray[np.float64]) -> Band:
    """The band of float64 [runs, steps]."""
    runs = len(values)
    variance = values.var(axis=0, ddof=1)
    pooled = [variance[max(0, i - NEIGHBORS) : i + NEIGHBORS + 1].mean() for i in range(len(steps))]
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, df=runs - 1)
    reach = np.maximum(quantile * np.sqrt(np.array(pooled) * (1 + 1 / runs)), LEAST)
    mean = values.mean(axis=0)
    return Band(
        steps=list(steps),
        median=_rounded(np.median(values, axis=0)),
        low=_rounded(mean - reach),
        high=_rounded(mean + reach),
    )


def write_reference(path: Path, reference: Reference) -> None:
    """Write a curve.json, whole or not at all."""
    bands = {name: vars(band) for name, band in reference.bands.items()}
    content = {"format": FORMAT, "about": reference.about, "runs": list(reference.runs)}
    content |= {"settings": dict(reference.settings), "bands": bands}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)  # lists on a line
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_reference(path: Path) -> Reference:
    """Read a curve.json.

    Raises:
        ValueError: if there is none, which means that nobody ran the recipe, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(
            f"there is no {path}: nobody trained this recipe with this code and wrote down its "
            "curve, so there is nothing to compare with"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, expected {FORMAT}")
        return Reference(
            about=str(content["about"]),
            runs=list(content["runs"]),
            settings=dict(content["settings"]),
            bands={name: Band(**band) for name, band in content["bands"].items()},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no reference curve: {error!r}") from error


def judge(history: History, reference: Reference) -> list[Verdict]:
    """Say for every loss of a reference that a run logged where its curve lies, the main one
    first.
    """
    verdicts = (_judge(name, history, band) for name, band in _in_order(reference))
    return [verdict for verdict in verdicts if verdict]


def _judge(name: str, history: History, band: Band) -> Verdict | None:
    places = []  # (step, value, band), where there is one
    for step, value in zip(*history.series(name), strict=True):
        if (ends := band.at(step)) is not None:
            places.append((step, value, ends))
    if not places:
        return None
    outside = [place for place in places if not place[2][0] <= place[1] <= place[2][2]]
    inside = len(places) - len(outside)
    step, value, (low, median, high) = places[-1]
    if low <= value <= high:
        where = "inside the band" if not outside else "back inside the band"
    else:
        beyond = value - high if value > high else low - value
        side = "above" if value > high else "below"
        where = f"{side} the band by {beyond:.3f} nats"
    text = (
        f"{where} at update {step:.0f}: {value:.3f}, expected {median:.3f} ({low:.3f} to "
        f"{high:.3f}); {inside} of {len(places)} points inside"
    )
    return Verdict(
        name=name, inside=inside, points=len(places), text=text, good=low <= value <= high
    )


def verdict_line(verdicts: Sequence[Verdict]) -> str:
    """Say in one line whether a run is on its way."""
    if not verdicts:
        return "No point of this run lies where the reference has one."
    main = verdicts[0]
    apart = [v.name for v in verdicts[1:] if not v.good]
    rest = f" Outside their bands now: {', '.join(apart)}." if apart else ""
    return f"{main.name} is {main.text}.{rest}"


def differences(settings: Mapping[str, Any], reference: Reference) -> list[str]:
    """Return in words what a run has set otherwise than the runs of a reference."""
    return [
        f"{name} is {settings.get(name)!r} here, {value!r} there"
        for name, value in reference.settings.items()
        if settings.get(name) != value
    ]


def charts(history: History, reference: Reference) -> list[Chart]:
    """Draw every band of a reference, and the curve of a run over it."""
    drawn = (_chart(name, history, band) for name, band in _in_order(reference))
    return [found for found in drawn if found]


def _in_order(reference: Reference) -> list[tuple[str, Band]]:
    return sorted(reference.bands.items(), key=lambda item: item[0] != MAIN)


def _chart(name: str, history: History, band: Band) -> Chart | None:
    x, y = history.series(name)
    lines = [
        Line(
            name="reference",
            x=band.steps,
            y=band.median,
            color=7,
            dashed=True,
            low=band.low,
            high=band.high,
        ),
        Line(name="this run", x=x, y=y, marked=name.startswith("val/")),
    ]
    found = _judge(name, history, band)
    note = found.text if found else "no point of this run lies where the reference has one"
    return chart(name, lines, "nats per code", note=note)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]
