"""What a file of weights begins with, and the digest that was noted beside it. No heavy imports."""

import re
from pathlib import Path

BEGINS = 512  # bytes that tell what a file is
DIGEST = ".sha256"  # behind its name: what it holds, in the form that `sha256sum -c` checks
MARK = b"\xef\xbb\xbf"  # of UTF-8, which some servers put first


def odd_kind(begins: bytes) -> str | None:
    """Say what a file is that servers give in the place of weights; None if it is no such file.

    Args:
        begins: its first `BEGINS` bytes, or all of it.

    >>> odd_kind(b'{"error": "login"}'), odd_kind(b"PK..")
    ('a JSON text', None)
    """
    text = begins.removeprefix(MARK).lstrip().lower()
    if text[:1] == b"<":
        return "a web page"
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS"
    if text[:1] in (b"{", b"[") and b"\0" not in text:  # no format of weights is text throughout
        return "a JSON text"
    return None


def first_bytes(path: Path) -> bytes:
    """Return the first `BEGINS` bytes of a file."""
    with path.open("rb") as file:
        return file.read(BEGINS)


def noted_digest(path: Path) -> str | None:
    """Return the sha256 that was noted beside a file when it was fetched; None if none was."""
    try:
        words = digest_path(path).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    return words[0] if words and re.fullmatch("[0-9a-f]{64}", words[0]) else None


def digest_path(path: Path) -> Path:
    """Return where the digest of a file is noted."""
    return path.with_name(path.name + DIGEST)
