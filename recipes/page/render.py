"""Pages that need no other file and no network: tables, curves, pictures and sounds are inside."""

import base64
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recipes.page.inputs import MissingInputError, is_number

log = logging.getLogger(__name__)

SHARED = Path(__file__).parent  # layout.html.j2, which a page extends, and what pages share
NOTHING = "\N{EN DASH}"
Source = TypeVar("Source")


def fill(template: Path, **content: Any) -> str:
    """Fill a template that extends layout.html.j2; every text in ``content`` is escaped."""
    environment = Environment(
        loader=FileSystemLoader([template.parent, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"share": share, "clock": clock, "gigabytes": gigabytes}
    script = (SHARED / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template.name).render(
        style=Markup((SHARED / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # Only this script runs, so that a text that slipped through unescaped could not.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **content,
    )


def attempt(section: Callable[[Source], dict[str, Any]], source: Source) -> dict[str, Any]:
    """Return a section, or {"missing": why it cannot be shown}."""
    try:
        return {"missing": None} | section(source)
    except MissingInputError as error:
        return {"missing": str(error)}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        # One damaged file must not cost the other sections.
        log.warning("%s: %r", section.__name__, error)
        what = str(error) if isinstance(error, ValueError) else repr(error)
        return {"missing": f"What is in the run folder cannot be shown: {what}"}


def share(value: float | None, digits: int = 2) -> str:
    """Write a number with fixed digits; a dash, never zero, for what was not measured."""
    return f"{value:.{digits}f}" if is_number(value) else NOTHING


def clock(seconds: float | None) -> str:
    """Write seconds as minutes and seconds."""
    if not is_number(seconds):
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def gigabytes(size: float | None) -> str:
    """Write bytes in units of 10^9."""
    return f"{size / 1e9:.2f} GB" if is_number(size) else NOTHING
