"""What `python -m evaluation card` does: list the cards, print one, or what sets two apart."""

import argparse

from evaluation.protocols.card import card_path, load_protocol, protocol_titles
from evaluation.protocols.path import shared_metrics, walk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("card", nargs="?", help="printed as it is, to be edited; by name or path; none: list them")
    add("other", nargs="?", help="print what leads from the first card to this one instead")


def run(args: argparse.Namespace) -> tuple[str, str]:
    """Return what goes to stdout, and what goes to stderr.

    Raises:
        ProtocolError: for a card that there is not, or that cannot be used.
    """
    if args.card is None:
        return "\n".join(f"{name:24}{title}" for name, title in protocol_titles().items()), ""
    card = load_protocol(args.card)
    if args.other is None:
        said = f"{card.name}: valid, sha256 {card.sha256()[:16]}"
        return card_path(args.card).read_text(encoding="utf-8").rstrip("\n"), said
    return _way(args.card, args.other)


def _way(first: str, second: str) -> tuple[str, str]:
    """Return the changes that lead from one card to another, and the metrics only one has."""
    start, goal = load_protocol(first), load_protocol(second)
    shared = shared_metrics(start, goal)
    lines = [f"only {card.name} has {key}"
             for card in (start, goal) for key in card.metrics if key not in shared]  # fmt: skip
    if not shared:
        return "\n".join(lines), f"{start.name} and {goal.name} have no metric in common"
    stops = walk(start, goal)
    lines += [f"all: {stop.whole}" for stop in stops if stop.whole]
    lines += [f"{key}: {stop.own[key]}" for key in shared for stop in stops if key in stop.own]
    return "\n".join(lines), f"{len(shared)} metrics in common: {', '.join(shared)}"
