"""Is my run on its way? Its losses over those of the runs a recipe was measured with.

    python -m recipes.on_track --run runs/demo [--curve recipes/demo/curve.json] [--out page.html]
    python -m recipes.on_track --record RUN RUN RUN --curve recipes/demo/curve.json --about "..."

The first prints where every loss lies and writes a page with the curves; the exit code is 0 if the
validation loss is inside its band, 1 if it is not, 2 if it is of other codes, for no verdict.
A training need not be finished for that. Without --curve it is that of the recipe with the
experiment's name. The second makes the bands from finished runs of several seeds.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from audiogen.files import replacing
from recipes.command import Parser, exit_code
from recipes.page.curves import about
from recipes.page.inputs import History, Run
from recipes.page.on_track import (
    Reference,
    charts,
    differences,
    judge,
    make_bands,
    read_reference,
    verdict_line,
    write_reference,
)
from recipes.page.render import fill

RECIPES = Path(__file__).parent
TEMPLATE = RECIPES / "page" / "on_track.html.j2"
STAGE = "train_lm"
OF_CODES = ("codec.num_codebooks", "codec.codebook_size")  # losses are only comparable within
SETTINGS = (
    "name",
    *OF_CODES,
    "lm.dim",
    "lm.num_layers",
    "data.batch_size",
    "optim.lr",
    "trainer.max_steps",
    "module.condition_dropout",
)  # what makes curves comparable; sounds and codec are said in words


def training_of(folder: Path) -> tuple[History, dict[str, Any]]:
    """Return the history of a training and its settings, by dotted name.

    Args:
        folder: of a training run, or of a run with such folders under train_lm/.

    Raises:
        ValueError: if there is no metrics.csv, or no readable config.yaml beside it.
    """
    if (folder / "metrics.csv").is_file():
        training, history = folder, History.read(folder / "metrics.csv")
    else:
        history = Run(folder=folder).history(STAGE, stage="lm")
        training = folder / STAGE / history.run
    try:
        config = yaml.safe_load((training / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{training}: no readable config.yaml: {error}") from error
    return history, {name: _value(config, name) for name in SETTINGS}


def find_curve(settings: Mapping[str, Any]) -> Path:
    """Return the curve.json of the recipe that trains this experiment.

    Raises:
        ValueError: if no recipe has one.
    """
    for path in sorted(RECIPES.glob("*/curve.json")):
        if read_reference(path).settings.get("name") == settings["name"]:
            return path
    raise ValueError(
        f"no recipe has a reference curve of {settings['name']}: nobody trained it with this code "
        "and wrote its curve down; name one with --curve"
    )


def check_comparable(settings: Mapping[str, Any], reference: Reference) -> None:
    """Refuse a run whose losses are of other codes than those of a reference.

    Raises:
        ValueError: naming what differs.
    """
    codes = [name for name in OF_CODES if settings.get(name) != reference.settings.get(name)]
    if codes:
        there = ", ".join(f"{name}={reference.settings.get(name)}" for name in codes)
        here = ", ".join(f"{name}={settings.get(name)}" for name in codes)
        raise ValueError(
            f"the losses of this run ({here}) cannot be compared with those of the reference "
            f"({there}): name a curve of such codes with --curve"
        )


def section(folder: Path, curve: Path | None = None) -> dict[str, Any]:
    """Return what a page shows of a run over its reference; ValueError if there is none."""
    history, settings = training_of(folder)
    reference = read_reference(curve or find_curve(settings))
    check_comparable(settings, reference)
    verdicts = judge(history, reference)
    return about(history) | {
        "reference": reference,
        "among_them": history.run in reference.runs,
        "verdicts": verdicts,
        "verdict": verdict_line(verdicts),
        "good": bool(verdicts) and verdicts[0].good,
        "differences": differences(settings, reference),
        "charts": charts(history, reference),
    }


def make_reference(folders: Sequence[Path], *, words: str) -> Reference:
    """Return the bands of finished runs of one recipe.

    Raises:
        ValueError: if they are too few, unfinished, of different settings, or one and the same.
    """
    found = [training_of(folder) for folder in folders]
    for (history, settings), folder in zip(found, folders, strict=True):
        if not history.finished:
            raise ValueError(f"{folder}: its training is not finished")
        if settings != found[0][1]:
            raise ValueError(f"{folder}: other settings than {folders[0]}: {settings}")
    names = [history.run for history, _ in found]
    if len(set(names)) < len(names):
        raise ValueError(f"a run is named twice: {', '.join(names)}")
    bands = make_bands([history for history, _ in found])
    return Reference(about=words, runs=names, settings=found[0][1], bands=bands)


def _value(config: Any, name: str) -> Any:
    for key in name.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _show(args: argparse.Namespace) -> int:
    found = section(args.run, args.curve)
    for text in found["differences"]:
        print(f"not the same: {text}", file=sys.stderr)
    for verdict in found["verdicts"]:
        print(f"{verdict.name}: {verdict.text}", file=sys.stderr)
    out = args.out or args.run / "on_track.html"
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    with replacing(out) as path:
        page = fill(TEMPLATE, title="Am I on track?", date=date, on_track=found | {"missing": None})
        path.write_text(page, encoding="utf-8")
    print(f"{out}: {found['verdict']}")
    return 0 if found["good"] else 1


def main(argv: list[str] | None = None) -> int:
    """Compare or record; return the exit code."""
    parser = Parser(
        prog="python -m recipes.on_track",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--run", type=Path, help="folder of a run to look at")
    kind.add_argument("--record", type=Path, nargs="+", help="folders of runs to make bands from")
    parser.add_argument("--curve", type=Path, default=None, help="curve.json to read or to write")
    parser.add_argument("--out", type=Path, default=None, help="default: RUN/on_track.html")
    parser.add_argument("--about", default=None, help="sounds, machine and date of the runs")
    args = parser.parse_args(argv)
    if args.record and not (args.curve and args.about):
        parser.error("--record needs --curve and --about")
    try:
        if args.run:
            return _show(args)
        write_reference(args.curve, make_reference(args.record, words=args.about))
    except (ValueError, OSError) as error:
        return exit_code(error)
    print(args.curve)
    return 0


if __name__ == "__main__":
    sys.exit(main())
