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
from matplotlib.ticker import NullFormatter

from recipes.page.inputs import History

# Colors that stand for others: the page replaces them, so that light and dark both fit.
INK, GRID = "#010101", "#020202"
SERIES = [f"#0300{number:02x}" for number in range(8)]
UPDATES = "updates"
POINTS = 400  # per line; more cannot be told apart
SIZE = (4.0, 2.6)  # inches, of which the page makes what fits
APART = ("train/learning_rate", "train/gradient_norm")  # logged, but not losses
TITLES = {
    "si_sdr": ("SI-SDR", "dB"),
    "mel_distance": ("mel distance", "log10 power"),
}  # of what is logged under a name that says less
CODEBOOKS = (
    ("perplexity", "codebook perplexity", "codes"),
    ("restarts", "restarted entries, in sum", "entries"),
    ("drift", "drift of the entries", "share of their spread"),
)
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
    filled: bool = False  # down to zero
    low: Sequence[float] = ()  # the band around it, of as many points
    high: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture with its title and what it shows, in words."""

    title: str
    note: str
    svg: Markup


def codec_curves(history: History) -> list[Chart]:
    """Draw what codec training logged: every loss and measure, then the codebooks one by one."""
    charts = [both(history, name) for name in _losses(history)]
    for name, title, unit in CODEBOOKS:
        charts.append(per_codebook(history, f"codebooks/{name}_", title, unit))
    return [chart for chart in charts if chart]


def about(history: History) -> dict[str, Any]:
    """Return what is said above the curves of a training run."""
    last = history.rows[-1]["step"] if history.rows else 0
    return {
        "run": history.run,
        "finished": history.finished,
        "others": history.others,
        "updates": int(last),
    }


def both(history: History, name: str, unit: str = "") -> Chart | None:
    """Draw training and validation of one value; None if neither was logged."""
    lines = [
        Line(name=word, x=x, y=y, color=color, marked=part == "val")
        for color, (part, word) in enumerate((("train", "training"), ("val", "validation")))
        for x, y in [history.series(f"{part}/{name}")]
        if x
    ]
    title, unit = TITLES.get(name, (name.replace("_", " "), unit))
    # A level only means something beside zero.
    return chart(title, lines, unit, from_zero=name.endswith("_ratio"))


def per_codebook(history: History, prefix: str, title: str, unit: str) -> Chart | None:
    """Draw one line per codebook of the values logged as prefix0, prefix1 ...; None without."""
    names = [name for name in history.names if name.startswith(prefix)]
    names = [n for n in names if n.removeprefix(prefix).isdigit()]
    lines = []
    for number, name in enumerate(sorted(names, key=lambda n: int(n.removeprefix(prefix)))):
        x, y = history.series(name)
        marked = name.startswith("val/")
        lines.append(Line(name=f"codebook {number + 1}", x=x, y=y, color=number, marked=marked))
    return chart(title, lines, unit)


def chart(
    title: str,
    lines: Sequence[Line],
    unit: str,
    *,
    x_label: str = UPDATES,
    note: str | None = None,
    from_zero: bool = False,
    log_y: bool = False,
) -> Chart | None:
    """Draw lines with a note, their last values if none is given; None if no line has a point."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return None
    ends = ", ".join(f"{line.name} {_short(line.y[-1])}" for line in lines)
    svg = draw(title, lines, unit=unit, x_label=x_label, from_zero=from_zero, log_y=log_y)
    return Chart(title=title, note=note or f"Last: {ends}", svg=svg)


def draw(
    title: str,
    lines: Sequence[Line],
    *,
    unit: str = "",
    x_label: str = UPDATES,
    from_zero: bool = False,
    log_y: bool = False,
) -> Markup:
    """Draw lines over the number of updates, or over what ``x_label`` says.

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
            if line.filled or line.low:
                low, high = (
                    ([0.0] * len(y), y) if line.filled else map(_thin, (line.low, line.high))
                )
                axes.fill_between(
                    x, low, high, color=SERIES[line.color % len(SERIES)], alpha=0.25, lw=0
                )
        axes.set_xlabel(x_label)
        axes.set_ylabel(unit)
        axes.set_axisbelow(True)
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
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


def _losses(history: History) -> list[str]:
    """Names of everything trained or validated that is not a per-codebook value, total first."""
    names = [
        name.partition("/")[2]
        for name in history.names
        if name.startswith(("train/", "val/")) and name not in APART
    ]
    unique = dict.fromkeys(name for name in names if not re.search(r"_\d+$", name))
    return sorted(unique, key=lambda name: name != "loss")


def _thin(values: Sequence[float]) -> list[float]:
    """Every so many-th value, the last one always."""
    step = math.ceil(len(values) / POINTS)
    return [*values[: len(values) - 1 : step], values[-1]]


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
