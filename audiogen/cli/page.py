"""A page that plays the sounds of a folder: index.html, made of the records beside them."""

import html
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from audiogen.cli.jobs import read_record
from audiogen.files import replacing

NAME = "index.html"
MARK = "made by audiogen generate"  # a page without it is somebody else's, and is left alone
TEMPLATE = Path(__file__).with_name("page.html")
MOST = 20_000  # sounds; a browser takes seconds for more


def write_page(out: Path) -> Path | None:
    """Write the page of all sounds in a folder, newest first; return where it is.

    None, and nothing written, where there is no sound, or an index.html that is not ours.
    """
    path = out / NAME
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:1000]:
        return None
    names = _newest_first(out)
    sounds = list(_sounds(out, names[:MOST]))
    if not sounds:
        return None
    left = len(names) - MOST
    note = f"The newest {MOST} sounds; {left} older ones are in the folder." if left > 0 else ""
    content = {
        "@MARK@": MARK,
        "@TITLE@": html.escape(out.absolute().name),
        "@NOTE@": html.escape(note),
        # "<" could end the script it stands in, or begin a comment there.
        "@SOUNDS@": json.dumps(sounds, ensure_ascii=False).replace("<", "\\u003c"),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for place, value in content.items():  # sounds last: what they say is not looked at again
        text = text.replace(place, value)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _newest_first(out: Path) -> list[str]:
    """Names of the records, those written last first."""
    with os.scandir(out) as entries:
        found = [(e.stat().st_mtime_ns, e.name) for e in entries if e.name.endswith(".json")]
    return [name for _, name in sorted(found, key=lambda pair: (-pair[0], pair[1]))]


def _sounds(out: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        record = read_record(out / name)
        if record is None or "prompt" not in record or not (out / record["file"]).is_file():
            continue
        yield {
            "file": quote(record["file"]),
            "prompt": str(record["prompt"]),
            "facts": ", ".join(_facts(record)),
            "again": str(record.get("command", "")),
            "model": str(record.get("model") or "embedded"),
            "licence": str(record.get("licence", "")),
        }


def _facts(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a listener wants to know of how a sound was made."""
    samples, rate = record.get("samples"), record.get("sample_rate")
    if isinstance(samples, int) and isinstance(rate, int) and rate > 0:
        yield f"{samples / rate:.4g} s"
    yield f"seed {record.get('seed')}"
    if record.get("item"):
        yield f"item {record['item']}"
    settings = record.get("settings")
    for name, value in settings.items() if isinstance(settings, dict) else ():
        if name != "duration" and not (name == "top_p" and value == 0):
            shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
            yield f"{name.replace('_', ' ')} {shown}"
    if isinstance(record.get("score"), int | float):
        yield f"score {record['score']:.4g}"
    if isinstance(record.get("loudness"), int | float):
        yield f"{record['loudness']:.1f} LUFS"
