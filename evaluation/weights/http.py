"""Receive a file over HTTP, going on where an earlier connection or process left off."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evaluation.progress import bar
from evaluation.weights.part import (
    Facts,
    facts_of,
    forget,
    goes_on,
    range_of,
    read_facts,
    size,
    write_facts,
)

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16  # bytes; what a cut can cost
TIMEOUT = (15, 60)  # seconds to connect, and without a byte
ATTEMPTS = 5  # to get an answer; connections without progress; and from the first byte
FIRST_ATTEMPTS = 2  # to connect while nothing has come: a wrong address is no better later
AGAIN = "Run the same command again to go on from there."
CONNECTION = re.compile(r"^(<[^>]*>|HTTPS?Connection\w*\([^)]*\)): ")  # how urllib3 begins
NO_PAGE = "the address, or something on the way such as a login, answered with a web page"


class FetchError(OSError):
    """A file that could not be fetched: which, why, what to do.

    `cause` is why and what to do without which, so that it is told of several files once.
    """

    def __init__(self, text: str, *, cause: str | None = None) -> None:
        super().__init__(text)
        self.cause = cause or text


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a file is fetched from, and who is told."""

    url: str
    progress: bool = False
    wait: float = 1.0  # seconds before a second attempt, then twice as long, and so on
    say: Callable[[str], object] = lambda text: None


@dataclass(kw_only=True, slots=True)
class Tally:
    """How far a file has come, and what it took."""

    most: int  # bytes that were here at once
    starts: int = 0  # connections that sent the first byte
    fresh: bool = False  # whether the last one did
    broken: int = 0  # connections that broke off since there was more than ever

    def count_break(self, have: int) -> bool:
        """Take note of a connection that broke off; return whether another one is worth it.

        A server that cannot go on may send ever other lengths of a file, and one that can a few
        bytes at a time: neither is progress.
        """
        self.broken = 1 if have >= self.most + BLOCK else self.broken + 1
        self.most = max(self.most, have)
        return self.broken < ATTEMPTS and not (self.fresh and self.starts >= ATTEMPTS)


def download(part: Path, source: Source, *, name: str) -> None:
    """Receive what is missing; every connection that brings something new earns new attempts.

    Raises:
        FetchError: if it cannot be had, or never comes whole.
    """
    import requests

    tally, connects = Tally(most=size(part)), FIRST_ATTEMPTS
    while True:
        tally.fresh = False
        with session(source.wait, connects=connects) as client:
            try:
                if _receive(client, part, source, tally, name=name):
                    return
                reason = "the connection ended early"
            except requests.RequestException as error:
                reason = _short(error)
        connects = ATTEMPTS
        if not tally.count_break(size(part)):
            raise FetchError(f"{name} from {source.url}: {reason}. {_what_now(part, tally)}")
        source.say(f"{name}: {reason}; going on at {size(part) / 1e6:.1f} MB")


def _what_now(part: Path, tally: Tally) -> str:
    if tally.starts >= ATTEMPTS:
        return (
            f"It began {tally.starts} times from the start and never came whole: name another "
            "place with --mirror, or a folder that has it with --from."
        )
    return f"{size(part) / 1e6:.1f} MB of it are kept. {AGAIN}"


def session(wait: float, *, connects: int = ATTEMPTS) -> "requests.Session":
    """Return a client that tries again, later and later, what a server may answer next time.

    Args:
        wait: seconds before the second attempt.
        connects: attempts to reach the server at all.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    again = Retry(
        total=ATTEMPTS - 1,
        connect=connects - 1,
        backoff_factor=wait,
        status_forcelist=(408, 429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    client = requests.Session()
    for scheme in ("http://", "https://"):
        client.mount(scheme, HTTPAdapter(max_retries=again))
    client.headers["Accept-Encoding"] = "identity"  # a range is one of bytes as they are stored
    return client


def _receive(
    client: "requests.Session", part: Path, source: Source, tally: Tally, *, name: str
) -> bool:
    """Take one connection's worth; return whether the file is whole now."""
    have, known = size(part), read_facts(part)
    headers = _rest_wanted(have, known, source.url)
    with _ask(client, source, headers, name=name) as answer:
        if answer.status_code == 416 and headers:  # nothing is left to send, or it has changed
            return _is_whole(part, known)
        _check_answer(answer, source, name=name)
        start = have if headers and goes_on(answer, have, known) else 0
        if not start and answer.status_code == 206 and (range_of(answer) or (1,))[0]:
            part.unlink(missing_ok=True)  # a range we did not ask for: from the start
            return False
        if not start:
            tally.starts, tally.fresh = tally.starts + 1, True
            known = facts_of(answer, source.url)
            write_facts(part, known)
            source.say(_announce(name, known.total))
        check_space(part.parent, (known.total or 0) - start, name)
        _store(answer, part, source, name=name, start=start, total=known.total)
    return known.total is None or _is_whole(part, known, so_far=True)


def _rest_wanted(have: int, known: Facts, url: str) -> dict[str, str]:
    """Return what asks for the rest of the file that is here in part; nothing asks for all."""
    if not have or known.url != url or known.validator is None or have > (known.total or 0):
        return {}
    return {"Range": f"bytes={have}-", "If-Range": known.validator}


def _is_whole(part: Path, known: Facts, *, so_far: bool = False) -> bool:
    """Return whether all has come; throw away what cannot be gone on with."""
    have, total = size(part), known.total or 0
    if have > total or (have < total and not so_far):
        forget(part)
    return have == known.total


def _announce(name: str, total: int | None) -> str:
    if total is None:
        return f"{name}: the server does not say how long it is, so a cut cannot be told from it"
    return f"{name}: {size_text(total)} to fetch"


def _ask(
    client: "requests.Session", source: Source, headers: dict[str, str], *, name: str
) -> "requests.Response":
    import requests

    try:
        return client.get(source.url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:  # after the attempts of `session`
        nobody = isinstance(error, (requests.ConnectionError, requests.Timeout))
        cause = (
            f"{_short(error)}. {'Is there a network? ' if nobody else ''}Name another place with "
            "--mirror, or a folder that has it with --from."
        )
        host = urlsplit(source.url).hostname or source.url
        raise FetchError(
            f"{name} from {source.url}: {cause}", cause=cause.replace(host, "its host")
        ) from error


def _store(
    answer: "requests.Response",
    part: Path,
    source: Source,
    *,
    name: str,
    start: int,
    total: int | None,
) -> None:
    shown = bar(
        desc=name, initial=start, total=total, unit="B", unit_scale=True, show=source.progress
    )
    try:
        with shown, part.open("ab" if start else "wb") as file:
            for block in answer.iter_content(BLOCK):
                file.write(block)
                shown.update(len(block))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is None:  # of the connection, not of the disk
            raise
        raise FetchError(
            f"{name}: cannot write {part} ({error.strerror}): make room, or choose another "
            f"folder. {AGAIN}"
        ) from error


def _check_answer(answer: "requests.Response", source: Source, *, name: str) -> None:
    if answer.status_code >= 400:
        hint = {401: "it wants a login", 403: "it is refused", 404: "it is not there"}
        why = hint.get(answer.status_code, answer.reason or "the server fails")
        cause = (
            f"{answer.status_code}, {why}. Name another place with --mirror, or a folder that has "
            "it with --from."
        )
        raise FetchError(f"{name} from {source.url}: {cause}", cause=cause)
    kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        cause = f"{NO_PAGE}. Open it in a browser to see."
        raise FetchError(f"{name} from {source.url}: {cause}", cause=cause)


def check_space(folder: Path, needed: int, name: str) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(
            f"{name} needs {needed / 1e6:.0f} MB more, the disk of {folder} has {free / 1e6:.0f} "
            "MB left: make room, or choose another folder"
        )


def size_text(size: int) -> str:
    """Return a number of bytes in the unit that leaves up to three digits.

    >>> size_text(289_000_123), size_text(456_318), size_text(12)
    ('289 MB', '456 kB', '12 bytes')
    """
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _short(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause  # urllib3's, without its list of attempts
    text = " ".join((str(cause) or type(error).__name__).split())
    return CONNECTION.sub("", text)[:200].rstrip(".")
