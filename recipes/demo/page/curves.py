"""Training curves as inline SVG that takes its colors and letters from the page."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from recipes.demo.page.inputs import History, Run

# Colors that stand for others: the page replaces them, so that light and dark both fit.
INK, GRID = "#010101", "#020202"
SERIES = [f"#0300{number:02x}" for number in range(8)]
POINTS = 400  # per line; more cannot be told apart
SIZE = (4.0, 2.6)  # inches, of which the page makes what fits
APART = ("train/learning_rate", "train/gradient_norm")  # logged, but not losses
LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from files
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9.0,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    dashed: bool = False
    marked: bool = False  # with a dot per point, for what is measured rarely


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture with its title and what it shows, in words."""

    title: str
    note: str
    svg: Markup


def codec_section(run: Run) -> dict[str, Any]:
    """Return the curves of codec training."""
    history = run.history("train_codec", stage="codec")
    charts = [_both(history, name) for name in _losses(history)]
    charts += [
        chart
        for chart in (
            _per_codebook(history, "codebooks/perplexity_", "codebook perplexity", "codes"),
            _per_codebook(history, "codebooks/restarts_", "restarted entries, in sum", "entries"),
        )
        if chart
    ]
    return _about(history) | {
        "charts": charts,
        "adversarial": any(name.endswith("/adversarial") for name in history.names),
    }


def lm_section(run: Run) -> dict[str, Any]:
    """Return the curves of language-model training."""
    history = run.history("train_lm", stage="lm")
    charts = [_captions(history), _both(history, "loss", unit="nats per code")]
    train = _per_codebook(history, "train/loss_codebook_", "training, each codebook", "nats")
    val = _per_codebook(history, "val/loss_codebook_", "validation, each codebook", "nats")
    last = history.last_with("val/loss")
    return _about(history) | {
        "charts": [chart for chart in (*charts, train, val) if chart],
        "last": last,
        "captions": history.last_with("val/loss", "val/loss_shuffled_captions"),
    }


def draw(title: str, lines: Sequence[Line], *, unit: str = "", from_zero: bool = False) -> Markup:
    """Draw lines over the number of updates.

    Returns:
        An <svg> element without identity of its own: ink and letters are the page's.
    """
    with matplotlib.rc_context(LOOK | {"svg.hashsalt": title}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for line in lines:
            x, y = _thin(line.x), _thin(line.y)
            axes.plot(
                x,
                y,
                color=SERIES[line.color % len(SERIES)],
                label=line.name,
                linestyle="--" if line.dashed else "-",
                marker="o" if line.marked or len(x) == 1 else "",
                markersize=3.5,
            )
        axes.set_xlabel("updates")
        axes.set_ylabel(unit)
        axes.set_axisbelow(True)
        if from_zero:
            axes.set_ylim(0, 1.1 * max(max(line.y) for line in lines))
        if len(lines) > 1:
            figure.legend(loc="outside upper left", ncols=2, fontsize=8.5, labelspacing=0.3)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _themed(file.getvalue(), title)


def _themed(text: str, title: str) -> Markup:
    """Cut the SVG out of its file and hand its colors and letters over to the page."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1
    )
    text = text.replace("<svg ", Markup('<svg aria-label="{}" ').format(title), 1)
    # Shapes are named by their content; charts of one page must not share the names.
    salt = re.sub(r"\W", "-", title)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{salt}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    for number, color in enumerate(SERIES):
        text = text.replace(color, f"var(--series-{number})")
    return Markup(text.replace(INK, "currentColor").replace(GRID, "var(--line)"))


def _about(history: History) -> dict[str, Any]:
    last = history.rows[-1]["step"] if history.rows else 0
    return {
        "run": history.run,
        "finished": history.finished,
        "others": history.others,
        "updates": int(last),
    }


def _losses(history: History) -> list[str]:
    """Names of everything trained or validated that is not a per-codebook value, total first."""
    names = [
        name.partition("/")[2]
        for name in history.names
        if name.startswith(("train/", "val/")) and name not in APART
    ]
    unique = dict.fromkeys(name for name in names if not re.search(r"_\d+$", name))
    return sorted(unique, key=lambda name: name != "loss")


def _both(history: History, name: str, unit: str = "") -> Chart | None:
    """Training and validation of one value; None if neither was logged."""
    lines = [
        Line(name=word, x=x, y=y, color=color, marked=part == "val")
        for color, (part, word) in enumerate((("train", "training"), ("val", "validation")))
        for x, y in [history.series(f"{part}/{name}")]
        if x
    ]
    # A level only means something beside zero.
    return _chart(name.replace("_", " "), lines, unit, from_zero=name.endswith("_ratio"))


def _per_codebook(history: History, prefix: str, title: str, unit: str) -> Chart | None:
    names = [name for name in history.names if name.startswith(prefix)]
    names = [n for n in names if n.removeprefix(prefix).isdigit()]
    lines = []
    for number, name in enumerate(sorted(names, key=lambda n: int(n.removeprefix(prefix)))):
        x, y = history.series(name)
        marked = name.startswith("val/")
        lines.append(Line(name=f"codebook {number + 1}", x=x, y=y, color=number, marked=marked))
    return _chart(title, lines, unit)


def _captions(history: History) -> Chart | None:
    """Validation loss with the true captions, with those of other clips, and with none."""
    lines = [
        Line(name=word, x=x, y=y, color=color, marked=True, dashed=color > 0)
        for color, (name, word) in enumerate(
            (
                ("val/loss", "true captions"),
                ("val/loss_shuffled_captions", "captions of other clips"),
                ("val/loss_no_captions", "no captions"),
            )
        )
        for x, y in [history.series(name)]
        if x
    ]
    return _chart("validation, by caption", lines, "nats per code")


def _chart(
    title: str, lines: Sequence[Line], unit: str, *, from_zero: bool = False
) -> Chart | None:
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return None
    ends = ", ".join(f"{line.name} {_short(line.y[-1])}" for line in lines)
    return Chart(
        title=title, note=f"Last: {ends}", svg=draw(title, lines, unit=unit, from_zero=from_zero)
    )


def _thin(values: Sequence[float]) -> list[float]:
    """Every so many-th value, the last one always."""
    step = math.ceil(len(values) / POINTS)
    return [*values[: len(values) - 1 : step], values[-1]]


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
