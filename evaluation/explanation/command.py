"""`python -m evaluation explain REFERENCE GENERATED`: its arguments, what it prints and writes."""

import argparse
import difflib
from pathlib import Path

from evaluation.arguments import (
    add_cache,
    add_means,
    add_sources,
    settings_of,
    sources_of,
)
from evaluation.deliver import JSON_HELP, Writer, deliver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_sources(parser)
    add("--protocol", default="audiocraft", help="card to start from; default: %(default)s")
    add("--toward", metavar="CARD", help="another card; the way to it is walked field by field")
    add("--metrics", nargs="+", metavar="KEY", help="default: all the card lists")
    add("--switches", nargs="*", metavar="NAME", help="default: all; none with --switches alone")
    add("--clips", type=int, metavar="N", help="take N of the pairs, drawn with the card's seed")
    add_means(parser, workers=0)
    use = "features, so that only what a switch changes is computed"
    add_cache(parser, use=use, without="keep nothing")
    add("--json", type=Path, metavar="FILE", help=f"write the effects as JSON{JSON_HELP}")
    add("--html", type=Path, metavar="FILE", help="write one page with pictures")


def run(args: argparse.Namespace) -> tuple[str, str]:
    """Explain, write the files that were asked for, and return what goes to stdout and stderr.

    Raises:
        ValueError: for sounds, cards or switches that cannot be used, or a file that cannot be
            written.
    """
    from evaluation.protocols.card import load_protocol
    from evaluation.reports.files import check_writable, json_text, write_text

    for path in (args.json, args.html):
        check_writable(path, inputs=(args.reference, args.generated, args.captions))
    if args.clips is not None and args.clips < 2:
        raise ValueError(f"--clips must be 2 or more, got {args.clips}")
    card = load_protocol(args.protocol)
    toward = None if args.toward is None else load_protocol(args.toward)

    from evaluation.explanation.explain import (  # torch takes seconds; the checks do not
        Sounds,
        explain,
    )
    from evaluation.explanation.show import explanation_page, explanation_text

    check_switches(args.switches)
    sounds = Sounds(sources=sources_of(args), settings=settings_of(args))
    explanation = explain(
        sounds,
        card,
        toward=toward,
        metrics=args.metrics,
        names=args.switches,
        clips=args.clips,
        progress=True,
    )
    writers: list[Writer] = [
        (args.json, lambda path: write_text(path, json_text(explanation))),
        (args.html, lambda path: write_text(path, explanation_page(explanation))),
    ]
    said = explanation_text(explanation)
    return deliver(said, explanation, json_file=args.json, writers=writers)


def check_switches(names: list[str] | None) -> None:
    """Refuse names that no switch has.

    Raises:
        ValueError: with the nearest name and all of them.
    """
    from evaluation.explanation.switches import NAMES

    for name in names or ():
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown switch {name!r}.{hint} Known: {', '.join(NAMES)}.")
