"""Receive a file over HTTP, going on where an earlier connection or process left off."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evaluation.progress import bar

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16  # bytes; what a cut can cost
TIMEOUT = (15, 60)  # seconds to connect, and without a byte
ATTEMPTS = 5  # to get an answer; and connections that may break off without progress
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


def download(part: Path, source: Source, *, name: str) -> None:
    """Receive what is missing; every connection that brings something earns new attempts."""
    import requests

    broken, connects = 0, FIRST_ATTEMPTS
    while True:
        before = _size(part)
        with session(source.wait, connects=connects) as client:
            try:
                if _receive(client, part, source, name=name):
                    return
                reason = "the connection ended early"
            except requests.RequestException as error:
                reason = _short(error)
            connects = ATTEMPTS
            broken = broken + 1 if _size(part) <= before else 1
            if broken >= ATTEMPTS:
                kept = f"{_size(part) / 1e6:.1f} MB of it are kept. {AGAIN}"
                raise FetchError(f"{name} from {source.url}: {reason}. {kept}")
            source.say(f"{name}: {reason}; going on at {_size(part) / 1e6:.1f} MB")


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


def _receive(client: "requests.Session", part: Path, source: Source, *, name: str) -> bool:
    """Take one connection's worth; return whether the file is whole now."""
    have, known = _size(part), _read_facts(part)
    headers = {}
    if have and known.get("validator") and known.get("url") == source.url:
        headers = {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    with _ask(client, source, headers, name=name) as answer:
        if answer.status_code == 416 and headers:  # nothing is left to send, or it has changed
            if known.get("total") == have:
                return True
            part.unlink()
            return False
        _check_answer(answer, source, name=name)
        resumed = answer.status_code == 206 and _starts_at(answer, have)
        if answer.status_code == 206 and not resumed:
            part.unlink(missing_ok=True)  # a range we did not ask for: from the start
            return False
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        _write_facts(part, answer, source.url, total)
        check_space(part.parent, (total or 0) - start, name)
        if total is not None and not start:
            source.say(f"{name}: {size_text(total)} to fetch")
        _store(answer, part, source, name=name, start=start, total=total)
    return total is None or _size(part) == total


def _ask(
    client: "requests.Session", source: Source, headers: dict[str, str], *, name: str
) -> "requests.Response":
    import requests

    try:
        return client.get(source.url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:  # after the attempts of `session`
        cause = (
            f"{_short(error)}. Is there a network? Name another place with --mirror, or a folder "
            "that has it with --from."
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


def forget(part: Path) -> None:
    """Remove what is left of a file that is not whole."""
    for path in (part, _facts(part)):
        path.unlink(missing_ok=True)


def _facts(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_facts(part: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_facts(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write_facts(part: Path, answer: "requests.Response", url: str, total: int | None) -> None:
    """Note by what the server knows this file: a strong ETag, or else the date of the file."""
    etag = answer.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
    facts = {"url": url, "validator": validator, "total": total}
    _facts(part).write_text(json.dumps(facts), encoding="utf-8")


def _starts_at(answer: "requests.Response", have: int) -> bool:
    return answer.headers.get("Content-Range", "").replace(" ", "").startswith(f"bytes{have}-")


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


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _short(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause  # urllib3's, without its list of attempts
    text = " ".join((str(cause) or type(error).__name__).split())
    return CONNECTION.sub("", text)[:200]
