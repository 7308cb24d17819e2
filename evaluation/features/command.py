"""`python -m evaluation cache [FOLDER]`: what the cache of features takes up, and making room."""

import argparse
import math
import re
import time
from pathlib import Path

from evaluation.features.prune import DAY, Entry, choose_entries, list_entries, remove_entries
from evaluation.folders import printable
from evaluation.settings import CACHE_FOLDER

UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "folder",
        type=_folder,
        nargs="?",
        metavar="FOLDER",
        help=f"what --cache names when sounds are scored; default {CACHE_FOLDER}",
    )
    add("--prune", type=_days, metavar="DAYS", help="remove entries not used for so many days")
    add(
        "--limit",
        type=_size,
        metavar="SIZE",
        help="remove the least recently used ones until the others take no more: 5GB, 800MB",
    )
    add("--clear", action="store_true", help="remove all entries")


def epilog() -> str:
    """Return what --help says at its end."""
    return (
        "Without an option nothing is removed. An entry holds what one network says of one sound,\n"
        "and is used when it is written or read. Removing is safe beside running processes: who\n"
        "misses an entry computes it again. Files that are no entries are left alone."
    )


def run(args: argparse.Namespace) -> tuple[str, str]:
    """Show a cache, or remove entries of it; return what goes to stdout, and nothing.

    Raises:
        ValueError: for a folder that is not there, or options that exclude each other.
    """
    if args.clear and (args.prune is not None or args.limit is not None):
        raise ValueError("--clear leaves nothing for --prune or --limit: pass one or the other")
    folder = (args.folder or CACHE_FOLDER).expanduser()
    if args.folder is not None and not folder.is_dir():
        raise ValueError(f"there is no folder {args.folder}: pass what --cache named")
    entries = list_entries(folder)
    if not args.clear and args.prune is None and args.limit is None:
        return "\n".join(_describe(folder, entries)), ""
    chosen = choose_entries(entries, days=args.prune, limit=args.limit)
    removed = remove_entries(entries if args.clear else chosen)
    lines = [f"removed  {_amount(removed)}", *_describe(folder, list_entries(folder))]
    return "\n".join(lines), ""


def _describe(folder: Path, entries: list[Entry]) -> list[str]:
    lines = [f"folder   {printable(str(folder))}", f"entries  {_amount(entries)}"]
    if entries:
        lines.append(f"oldest   last used {_age(entries[0])}")
    return lines


def _amount(entries: list[Entry]) -> str:
    return f"{len(entries)}, {size_text(sum(entry.size for entry in entries))}"


def _age(entry: Entry) -> str:
    seconds = entry.used / 1e9
    day = time.strftime("%Y-%m-%d", time.localtime(seconds))
    return f"{day}, {max(0.0, (time.time() - seconds) / DAY):.1f} days ago"


def size_text(size: int) -> str:
    """Return a number of bytes as people read it.

    >>> size_text(999), size_text(1_500_000)
    ('999 bytes', '1.5 MB')
    """
    unit = [name for name, factor in UNITS.items() if size >= factor or not name][-1]
    return f"{size / UNITS[unit]:.4g} {unit or 'bytes'}"


def _size(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if found is None:
        units = ", ".join(name for name in UNITS if name)
        raise argparse.ArgumentTypeError(f"expected a size such as 5GB ({units}), got {text!r}")
    number, letter = found.groups()
    factor = next(f for name, f in UNITS.items() if name[:1].lower() == letter.lower())
    return round(float(number) * factor)


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the folder has no name; . is the one you are in")
    return Path(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of days, 0 or more, got {text!r}")
    return days
