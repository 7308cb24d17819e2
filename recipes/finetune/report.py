"""The page of a fine-tuning: python -m recipes.finetune.report --run RUN

One page that needs no other file and no network: what was learned, what was forgotten, what was
learned by heart, and how it sounds before and after, beside the nearest training clip. What the run
folder does not hold, the page names.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED
from recipes.command import Parser
from recipes.demo.page.training import lm_section
from recipes.finetune.forgetting import OTHER
from recipes.finetune.forgetting import OWN as OWN_PROMPTS
from recipes.finetune.gates import REQUIRED, STAGES, outcomes_of
from recipes.finetune.judge import BASE, SOUNDS
from recipes.finetune.nearest import NAME
from recipes.finetune.samples import SIDES
from recipes.gates import verdict
from recipes.page.command import page_command
from recipes.page.inputs import Run
from recipes.page.players import RANGE, color_scale, hear, loudest, panel
from recipes.page.render import attempt, fill
from recipes.page.timing import time_table

TEMPLATE = Path(__file__).with_name("page") / "page.html.j2"
WORDS = {OWN: "own caption", NONE: "no caption", SHUFFLED: "captions of others"}
KINDS = {OWN_PROMPTS: "your sounds", OTHER: "other sounds"}
MAX_BYTES = 6_000_000  # of sound files: with base64 and pictures about 11 MB


def _gates(run: Run) -> dict[str, Any]:
    outcomes = outcomes_of(run)
    return {"outcomes": outcomes, "verdict": verdict(outcomes)}


def _base(run: Run) -> dict[str, Any]:
    return {"facts": run.json("base.json", stage="base")}


def _codec(run: Run) -> dict[str, Any]:
    found = run.json("codec/health.json", stage="codec")
    return {"scores": found["scores"], "n": found["sounds"]["n"], "alarms": found["alarms"]}


def _judged(run: Run) -> dict[str, Any]:
    """What held-out codes cost, of one's own sounds and of the base's where they were given."""
    found = run.json("judged.json", stage="judge")
    rows = [("Your test clips", found[SOUNDS])]
    if BASE in found:
        rows.append(("The base's own test clips", found[BASE]))
    return {"rows": rows, "words": WORDS, "own": found[SOUNDS], "caption": OWN}


def _moved(run: Run) -> dict[str, Any]:
    found = run.json("forgetting.json", stage="forgetting")
    return {"kinds": [(title, found[kind]) for kind, title in KINDS.items()]}


def _nearest(run: Run) -> dict[str, Any]:
    found = run.json(f"nearest/{NAME}", stage="nearest")
    return {"found": found, "alarms": [row for row in found["samples"] if row["alarm"]]}


def _players(run: Run) -> dict[str, Any]:
    """Return every prompt with three panels: before, after, and the nearest training clip."""
    found = run.json(f"nearest/{NAME}", stage="nearest")
    folders = [run.folder / "samples" / side for side in SIDES] + [run.folder / "nearest"]
    names = (*SIDES, "nearest")
    heard, rows, size = [], [], 0
    for row in found["samples"]:
        paths = dict(zip(names, (folder / row["file"] for folder in folders), strict=True))
        size += sum(path.stat().st_size for path in paths.values() if path.is_file())
        if size > MAX_BYTES:
            break
        heard.append({name: hear(path) for name, path in paths.items()})
        rows.append(row)
    top = loudest(heard)
    return {
        "clips": [
            row | {"panels": [panel(n, _title(n, row), sounds[n], top) for n in names]}
            for row, sounds in zip(rows, heard, strict=True)
        ],
        "number": len(found["samples"]),
        "kinds": KINDS,
        "range": RANGE,
        "scale": color_scale(),
    }


def _title(name: str, row: dict[str, Any]) -> str:
    titles = dict(zip(SIDES, ("Before", "After"), strict=True))
    return titles.get(name) or f"Nearest clip, {row['distance']:.2f} away"


def _card(run: Run) -> dict[str, Any]:
    """What the exported model says of itself, and which of its weights learned."""
    config = run.json("model/config.json", stage="lm")
    adapter = run.folder / "model" / "adapter" / "adapter_config.json"
    facts = json.loads(adapter.read_text(encoding="utf-8")) if adapter.is_file() else None
    size = None
    if facts is not None:
        size = adapter.with_name("adapter_model.safetensors").stat().st_size
    return {"card": config["card"], "adapter": facts, "bytes": size}


def _timing(run: Run) -> dict[str, Any]:
    return time_table(run, STAGES, REQUIRED)


SECTIONS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "base": _base,
    "gates": _gates,
    "codec": _codec,
    "judged": _judged,
    "moved": _moved,
    "nearest": _nearest,
    "players": _players,
    "model": _card,
    "lm": lm_section,
    "timing": _timing,
}


def render(run: Run, *, date: str) -> str:
    """Return the page; every text from the run folder is escaped."""
    return fill(
        TEMPLATE,
        title="A model fine-tuned on your sounds",
        date=date,
        folder=shlex.quote(str(run.folder)),
        **{name: attempt(section, run) for name, section in SECTIONS.items()},
    )


def main(argv: list[str] | None = None) -> int:
    """Render, write, print the path; return the exit code."""
    parser = Parser(
        prog="python -m recipes.finetune.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return page_command(
        parser, argv, lambda args, date: render(Run(folder=args.run), date=date), maker="run.sh"
    )


if __name__ == "__main__":
    sys.exit(main())
