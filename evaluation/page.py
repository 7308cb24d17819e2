"""A report as one HTML page: no script, no other file, nothing fetched."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

TEMPLATE = Path(__file__).with_name("page.html.j2")
SHOWN = 20  # pairs in the table of outliers


def render_page(items: list[dict[str, Any]], **context: Any) -> str:
    """Fill the template; every text from outside is escaped.

    Args:
        items: the report's table of pairs.
        context: what else the template names.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(farthest=_farthest(items), **context)


def _farthest(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pairs whose levels differ most from their references', worst first."""
    key = "level_difference_db"
    rows = [item | {key: item["values"].get(key)} for item in items]
    rows = [row for row in rows if row[key] is not None]
    return sorted(rows, key=lambda row: -abs(row[key]))[:SHOWN]
