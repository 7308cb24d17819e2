"""Did the embedded model reach what it has to? python -m recipes.embedded.gates --run runs/embedded

Prints expected and reached values; exit code 0 if every gate holds, 1 if one fails or was not
measured, 2 if there is no such run. What runs with --smoke reach is printed and not judged.
"""

import argparse
import sys
from pathlib import Path

from recipes.command import Parser
from recipes.demo import gates as demo
from recipes.gates import Outcome, all_hold, check, read_gates, show
from recipes.page.inputs import MissingInputError, Run

EXPECTED = Path(__file__).with_name("expected.json")
JUDGED = 240  # clips; with fewer it was a smoke test


def measure(run: Run) -> dict[str, float | None]:
    """Collect what the gates are about from the files of a run; None for what is not there."""
    files = [path for path in (run.folder / "embedded").rglob("*") if path.is_file()]
    return {
        **demo.measure(run),
        "megabytes": sum(path.stat().st_size for path in files) / 1e6 if files else None,
        "own_words": _own_words(run),
    }


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run against expected.json."""
    return check(measure(run), read_gates(EXPECTED), sounds=run.sounds)


def _own_words(run: Run) -> float | None:
    try:
        return run.json("prompts.json", stage="prompts")["family"]["accuracy"]
    except MissingInputError:
        return None


def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = Parser(
        prog="python -m recipes.embedded.gates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a run of run.sh")
    args = parser.parse_args(argv)
    if not args.run.is_dir():
        print(f"error: {args.run} is not a folder; run.sh makes a run", file=sys.stderr)
        return 2
    run = Run(folder=args.run)
    outcomes = outcomes_of(run)
    show(outcomes)
    clips = measure(run)["clips"]
    if clips is not None and clips < JUDGED:
        print(f"{clips:.0f} clips are no judgement: this was a smoke test", file=sys.stderr)
        return 0
    return 0 if all_hold(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
