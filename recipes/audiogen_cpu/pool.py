"""What the held-out clips of several runs say together: python -m recipes.audiogen_cpu.pool RUN RUN

For cross-validation: each run held other clips out; a clip that two of them judged is an error.
Exit code 0 if both intervals lie above zero, which is what expected.json asks of the clips of
several runs; 1 if one does not.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.audiogen_cpu.held_out import CONDITIONS, NONE, OWN, SHUFFLED
from recipes.audiogen_cpu.judge import gain
from recipes.command import Parser, exit_code
from recipes.page.inputs import Run


def pool(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the gains of `recipes.audiogen_cpu.judge.gain` over the test clips of all runs.

    Raises:
        ValueError: if a run was not judged yet, or two of them held out the same clip.
    """
    clips: dict[str, dict[str, float]] = {}
    for folder in folders:
        for clip in Run(folder=folder).json("judged/test.json", stage="judge")["clips"]:
            if clip["id"] in clips:
                raise ValueError(f"{folder}: {clip['id']} was held out by a run before it as well")
            clips[clip["id"]] = clip["nats"]
    values = {name: np.array([nats[name] for nats in clips.values()]) for name in CONDITIONS}
    return {name: gain(values[name] - values[OWN]) for name in (NONE, SHUFFLED)}


def main(argv: list[str] | None = None) -> int:
    """Print a line for each condition; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiogen_cpu.pool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    args = parser.parse_args(argv)
    try:
        gains = pool(args.runs)
    except (ValueError, OSError, KeyError, TypeError) as error:
        return exit_code(error if isinstance(error, OSError) else ValueError(str(error)))
    for name, row in gains.items():
        ends = "" if row["low"] is None else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
        print(f"{name} - {OWN}: {row['nats']:+.4f} nats{ends}, {row['better']} of {row['n']} clips")
    return 0 if all((row["low"] or 0) > 0 for row in gains.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
