"""A report as one HTML page: no script, no other file, nothing fetched."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render_page(**context: Any) -> str:
    """Fill the template; every text from outside is escaped.

    Args:
        context: what the template names.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(**context)
