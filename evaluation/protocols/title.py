"""What a protocol is called: name, version, and what of it is not as on the shipped card."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from evaluation.folders import shorten
from evaluation.protocols.card import FOLDER, ProtocolError, plain_numbers, protocol_names
from evaluation.protocols.strict_yaml import read_strict_yaml

PROSE = ("description", "source")  # fields of a card that change no number
SHOWN = 8  # fields that a refusal names


def card_title(content: Mapping[str, Any]) -> str:
    """Return what a card is called wherever a person reads of its scores.

    A shipped card's name alone stands for what ships: any other content under it is said.

    Args:
        content: of a card, as `ProtocolCard.to_dict` gives it or a report holds it.
    """
    title = f"{content['name']} v{content.get('version', '?')}"
    shipped = _shipped(content)
    if shipped is None:
        return title
    if content.get("version") != shipped["version"]:
        return f"{title}, not the shipped v{shipped['version']}"
    changed = list(_differing(_compared(content), _compared(shipped)))
    return f"{title}, changed: {shorten(changed)}" if changed else title


def is_shipped(content: Mapping[str, Any]) -> bool:
    """Tell whether a card is one that ships with the package: name, version and content."""
    shipped = _shipped(content)
    if shipped is None or content.get("version") != shipped["version"]:
        return False
    return not any(_differing(_compared(content), _compared(shipped)))


def check_name(content: Mapping[str, Any], *, where: str) -> None:
    """Refuse another card under the name and version of a shipped one.

    Args:
        content: of a valid card.
        where: what the error calls it: the file.

    Raises:
        ProtocolError: naming the fields that are not as shipped.
    """
    shipped = _shipped(content)
    if shipped is None or content["version"] != shipped["version"]:
        return
    changed = list(_differing(_compared(content), _compared(shipped)))
    if changed:
        raise ProtocolError(
            f"{where}: it is called {content['name']} version {content['version']}, as a card that "
            f"ships, and differs from it in {shorten(changed, limit=SHOWN)}. Give it a name of its "
            "own."
        )


def _shipped(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the shipped card of a name, however that is spaced and capitalized; else None."""
    name = str(content["name"]).strip().casefold()
    return _read(name) if name in protocol_names() else None


@cache
def _read(name: str) -> Mapping[str, Any]:
    """Read a shipped card as it is written: its steps are understood only where they differ."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    content: Mapping[str, Any] = read_strict_yaml(text)
    return content


def _compared(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a card is compared; a metric without options has none either way."""
    left = {k: v for k, v in content.items() if k not in ("name", "version", *PROSE)}
    metrics = left.get("metrics")
    if isinstance(metrics, dict):
        left["metrics"] = {key: options or {} for key, options in metrics.items()}
    return left


def _differing(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Yield the places, in dotted form, at which two contents are not the same."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            place = f"{where}.{key}" if where else str(key)
            if key in ours and key in theirs:
                yield from _differing(ours[key], theirs[key], place)
            else:
                yield place
    elif not _same(ours, theirs) and _text(ours, where) != _text(theirs, where):
        yield where


def _same(ours: Any, theirs: Any) -> bool:
    """Tell whether two values are plainly one; true is not 1."""
    return bool(ours == theirs) and isinstance(ours, bool) == isinstance(theirs, bool)


def _text(value: Any, where: str) -> str:
    """Return a value as text that does not depend on how a number or a step is written."""
    if where.rpartition(".")[2] in ("input", "generated"):
        from evaluation.preparation.steps import Steps  # it needs torch

        with suppress(ValueError, TypeError):  # of an edited report, which need not be steps
            value = Steps(value).canonical()
    return json.dumps(plain_numbers(value), sort_keys=True, default=str)
