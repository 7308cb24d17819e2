"""Names of sound files that every system takes: Linux, macOS, Windows, and what is copied there."""

import re
import unicodedata

SLUG_LENGTH = 48  # characters of the prompt that a file name keeps
LONGEST = 200  # bytes; file systems take 255, a suffix and a number have to fit too
UNSAFE = set('/\\:*?"<>|')
RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}  # of Windows, whatever follows behind a dot
SOUND_SUFFIX = re.compile(r"\.(wav|flac|ogg|opus|mp3|aiff?|m4a)$", re.IGNORECASE)


def slug(text: str) -> str:
    """Turn a prompt into lower-case ASCII words joined by hyphens, at most `SLUG_LENGTH` long.

    >>> slug("A dog barks, twice!")
    'a-dog-barks-twice'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))
    return words[:SLUG_LENGTH].strip("-") or "sound"


def safe_name(value: object, *, place: str, column: str) -> str:
    """Return an id as the name of a file, less the suffix of a sound.

    Args:
        value: what stands in the column.
        place: file:line.
        column: its name.

    Raises:
        ValueError: if a system would not take it, or take it for something else.
    """
    name = SOUND_SUFFIX.sub("", str(value).strip())
    told = isinstance(value, str | int | float) and not isinstance(value, bool)
    plain = told and name.isprintable() and not UNSAFE & set(name)
    if not plain or name.startswith(".") or name.endswith((".", " ")) or not name:
        raise ValueError(
            f"{place}: {column} {name!r:.80} cannot name a file: use letters, digits, - and _"
        )
    if _size(name) > LONGEST:
        raise ValueError(
            f"{place}: {column} {name[:40]!r}... cannot name a file: it has {_size(name)} bytes, "
            f"give at most {LONGEST}"
        )
    if name.partition(".")[0].rstrip().lower() in RESERVED:
        raise ValueError(
            f"{place}: {column} {name!r} cannot name a file: Windows keeps that name to itself"
        )
    return name


def same_file(name: str) -> str:
    """Return what two names share that are one file somewhere: other case, other composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _size(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))
