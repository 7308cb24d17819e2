"""What has come of a file so far, and what its server said of it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the server said of a file when it began to send it."""

    url: str = ""
    validator: str | None = None  # by what it knows this very file
    total: int | None = None  # bytes of the whole


def size(path: Path) -> int:
    """Return how much of a file is here, 0 if it is not."""
    return path.stat().st_size if path.is_file() else 0


def read_facts(part: Path) -> Facts:
    """Return what was noted of a file; nothing if that cannot be read."""
    try:
        found = Facts(**json.loads(_place(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Facts()
    kinds = ((found.url, str), (found.validator, str | None), (found.total, int | None))
    return found if all(isinstance(value, kind) for value, kind in kinds) else Facts()


def write_facts(part: Path, facts: Facts) -> None:
    """Note them beside what has come."""
    _place(part).write_text(json.dumps(asdict(facts)), encoding="utf-8")


def forget(part: Path) -> None:
    """Remove what is left of a file that is not whole."""
    for path in (part, _place(part)):
        path.unlink(missing_ok=True)


def facts_of(answer: "requests.Response", url: str) -> Facts:
    """Return what an answer that begins at the first byte says of the file.

    Its length is that of the whole in a range; of a body that was packed on its way nobody says
    how long it is as it is stored, nor can it be gone on with.
    """
    if packed_on_its_way(answer):
        return Facts(url=url)
    named = range_of(answer)
    length = answer.headers.get("Content-Length", "")
    whole = int(length) if answer.status_code != 206 and length.isdecimal() else None
    return Facts(url=url, validator=validator(answer), total=named[1] if named else whole)


def validator(answer: "requests.Response") -> str | None:
    """Return by what the server knows this file: a strong ETag, or else the date of the file."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")


def range_of(answer: "requests.Response") -> tuple[int, int | None] | None:
    """Return the first byte of a range and how long the whole file is, if that is said."""
    found = RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if answer.status_code != 206 or found is None:
        return None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def goes_on(answer: "requests.Response", have: int, known: Facts) -> bool:
    """Return whether an answer is the rest of the very file of which so many bytes are here."""
    named = range_of(answer)
    if named is None or packed_on_its_way(answer):
        return False
    same = validator(answer) in (None, known.validator) and named[1] in (None, known.total)
    return named[0] == have and same


def packed_on_its_way(answer: "requests.Response") -> bool:
    """Return whether a body is packed, although it was asked for as it is stored."""
    return answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity"


def _place(part: Path) -> Path:
    return part.with_name(part.name + ".json")
