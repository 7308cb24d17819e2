"""Arguments that more than one command takes, and the settings they become."""

import argparse
from pathlib import Path

from evaluation.settings import CACHE_FOLDER, Settings
from evaluation.sources import Sources
from evaluation.weights.files import DEFAULT_FOLDER

Taker = argparse.ArgumentParser | argparse._ArgumentGroup


def add_sources(parser: Taker) -> None:
    """Add the folders of sounds, and what is read beside them."""
    add = parser.add_argument
    add("reference", type=Path, help="folder of reference sounds (wav, flac, ogg, mp3)")
    add("generated", type=Path, help="folder of generated sounds, same names")
    add("--captions", type=Path, metavar="FILE", help=".csv or .jsonl: name and caption")
    add("--allow-extra", action="store_true", help="ignore generated files without a reference")


def add_cache(parser: Taker, *, use: str, without: str) -> None:
    """Add the folder of features, and doing without.

    Args:
        parser: or a group of it.
        use: what the command has features for.
        without: what --no-cache means.
    """
    add = parser.add_argument
    text = f"{use}; default {CACHE_FOLDER}"
    add("--cache", type=Path, metavar="FOLDER", default=CACHE_FOLDER, help=text)
    add("--no-cache", dest="cache", action="store_const", const=None, help=without)


def add_means(parser: Taker, *, workers: int) -> None:
    """Add what networks and processes there are.

    Args:
        parser: or a group of it.
        workers: how many processes, where nothing is said.
    """
    add = parser.add_argument
    add("--weights", type=Path, metavar="FOLDER", help=f"networks; default {DEFAULT_FOLDER}")
    add(
        "--random-weights",
        action="store_true",
        help="networks of the right shapes with random weights; every score is marked as such",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        default=workers,
        help="processes that decode and prepare, 0 for none; default here %(default)s",
    )
    add("--batch-size", type=int, metavar="N", default=16, help="windows a network takes at once")
    add("--device", default="cpu", help="where networks run: cpu, cuda:0; default %(default)s")


def sources_of(args: argparse.Namespace) -> Sources:
    """Return what `add_sources` was given."""
    return Sources(
        reference=args.reference,
        generated=args.generated,
        captions=args.captions,
        allow_extra=args.allow_extra,
    )


def settings_of(args: argparse.Namespace) -> Settings:
    """Return what `add_means` and `add_cache` were given.

    Raises:
        ValueError: for a number that cannot be used.
    """
    return Settings(
        weights=args.weights,
        random_weights=args.random_weights,
        cache=args.cache,
        workers=args.workers,
        batch_size=args.batch_size,
        device=args.device,
    )
