"""What `python -m evaluation fetch` does: its arguments, the list of files, fetching them."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from evaluation.weights.content import noted_digest
from evaluation.weights.fetch import Fetched, FetchError, Source, copy, fetch, mirror_url
from evaluation.weights.files import DEFAULT_FOLDER, FILES, WeightFile, weight_file, weights_path
from evaluation.weights.http import size_text

NOT_KNOWN = "-"
DIGITS = 12  # of a sha256, in the list
UNKNOWN = (
    "-: not known here. Size and sha256 are printed when a file is fetched, the whole sha256 is "
    "noted beside it as FILE.sha256; reports have it too. Licenses: see where a file comes from."
)
Say = Callable[[str], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="to fetch; none: list them, fetch nothing")
    add("--protocol", action="append", default=[], metavar="CARD", help="fetch what a card names")
    add("--folder", type=Path, help=f"where to put them; default {DEFAULT_FOLDER}")
    add("--mirror", metavar="URL", help="take them from URL/FILE instead of the publisher")
    add("--from", type=Path, dest="offline", metavar="FOLDER", help="copy them from a folder")


def run(args: argparse.Namespace, say: Say) -> str:
    """List or fetch; return what goes to stdout.

    Args:
        args: of `add_arguments`.
        say: takes lines for a person while it works.

    Raises:
        ValueError: for an unknown file or card, or a file without an address.
        FetchError: if a file could not be fetched; the others are tried first.
    """
    folder = (args.folder or DEFAULT_FOLDER).expanduser()
    entries = wanted(args.files, args.protocol)
    if not entries and args.protocol:
        say(f"{', '.join(args.protocol)}: no weights are needed that have an address here")
        return ""
    if not entries:
        return listing(FILES.values(), folder)
    if args.offline is not None and not args.offline.is_dir():
        raise ValueError(f"--from: there is no folder {args.offline}")
    works = {entry: _work(entry, folder, args, say) for entry in entries}
    if len(works) == 1:
        found = next(iter(works.values()))()
        say(report(entries[0], found))
        return str(found.path)
    return "\n".join(_fetch_all(works, say))


def _work(
    entry: WeightFile, folder: Path, args: argparse.Namespace, say: Say
) -> Callable[[], Fetched]:
    """Return what puts a file in its place.

    Raises:
        ValueError: for a file without an address.
    """
    if args.offline is not None:
        return lambda: copy(entry, folder, args.offline)
    url = mirror_url(entry, args.mirror) if args.mirror else entry.url
    if url is None:
        raise ValueError(f"no address is known for {entry.file} ({entry.what}): use --from")
    source = Source(url=url, progress=True, say=say)
    return lambda: fetch(entry, folder, source)


def _fetch_all(works: Mapping[WeightFile, Callable[[], Fetched]], say: Say) -> Iterator[str]:
    """Put files in their places, yield where; a cause of several failures is said once."""
    failed: dict[str, list[str]] = {}  # cause -> files
    for entry, work in works.items():
        try:
            found = work()
        except OSError as error:
            cause = getattr(error, "cause", str(error))
            if cause not in failed:
                say(str(error))
            failed.setdefault(cause, []).append(entry.file)
        else:
            say(report(entry, found))
            yield str(found.path)
    for _, *others in failed.values():
        if others:
            say(f"{', '.join(others)}: the same")
    if failed:
        count = sum(map(len, failed.values()))
        raise FetchError(f"{count} of {len(works)} files are not in place")


def wanted(files: list[str], cards: list[str]) -> list[WeightFile]:
    """Return the entries of files and of what cards name, with what those need, each once.

    Raises:
        ValueError: for an unknown file or card.
    """
    names = list(files)
    if cards:
        from evaluation.protocols.card import load_protocol

        for card in cards:
            features = load_protocol(card).features.values()
            names += [each["weights"] for each in features if each.get("weights") in FILES]
    entries = [weight_file(name) for name in names]
    entries += [weight_file(name) for entry in entries for name in entry.needs]
    return list(dict.fromkeys(entries))


def listing(entries: Iterable[WeightFile], folder: Path) -> str:
    """Say what files there are, what is known of each, and whether it is in place."""
    entries = list(entries)
    rows: list[tuple[str, ...]] = [("file", "network", "size", "sha256", "license", "here", "")]
    rows += [_row(entry, folder) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    addresses = [entry.url or f"{entry.file}: no known address" for entry in entries]
    return "\n".join([*table, "", "from:", *addresses, "", f"here: in {folder}.", UNKNOWN])


def _row(entry: WeightFile, folder: Path) -> tuple[str, ...]:
    path = weights_path(entry.file, folder)
    there = path.is_file()
    size = path.stat().st_size if there else entry.size
    noted = noted_digest(path) if there else None
    published = entry.sha256 or entry.sha256_prefix
    digits = published or noted
    return (
        entry.file,
        entry.network,
        size_text(size) if size is not None else NOT_KNOWN,
        f"{digits[:DIGITS]}{'' if published else ' (noted)'}" if digits else NOT_KNOWN,
        entry.licence or NOT_KNOWN,
        "yes" if there else "no",
        entry.what,
    )


def report(entry: WeightFile, found: Fetched) -> str:
    """Say what is in place, and how far its content is known to be right."""
    state = "fetched" if found.new else "was there"
    check = "as published" if found.checked else "none is known here: compare it with a colleague's"
    return f"{entry.file}: {state}, {size_text(found.size)}, sha256 {found.sha256} ({check})"
