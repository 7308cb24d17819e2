"""Protocol cards: everything that changes a number, in one small YAML file with a name.

A number means something beside another only if both were made under one card, so a report holds
the whole card and `compare` refuses two reports whose cards differ.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from evaluation.catalog import check_metrics

FOLDER = Path(__file__).parent / "protocols"
CHOICES = {
    "mono": ("mean", "first"),
    "length": ("cut", "keep", "match"),
    "silence": ("refuse", "score"),
    "resampler": ("sinc_kaiser64", "sinc_hann6"),
}


class ProtocolError(ValueError):
    """A card that cannot be used: which file and field, and what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """How confidence intervals are drawn: by resampling clips with replacement."""

    resamples: int
    confidence: float  # share in (0, 1)
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolCard:
    """One published or own protocol. No field has a default: a card states every choice."""

    name: str
    version: int
    description: str
    source: str
    mono: str  # "mean" of the channels or the "first" one
    length: str  # "cut" the generated sound to its reference's, "keep" it, or refuse a mis-"match"
    min_duration: float  # seconds; pairs with a shorter reference are left out and listed
    silence: str  # "refuse" or "score"
    resampler: str  # "sinc_kaiser64" or "sinc_hann6"
    generated_loudness: float | None  # LUFS of the generated sound before embedding; None is off
    loudness_floor: float  # RMS, full scale 1; below it the level is left alone
    bootstrap: Bootstrap
    metrics: Mapping[str, Mapping[str, Any]]  # key -> its options

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return asdict(self)

    def sha256(self) -> str:
        """Return the sha256 of the card's content; comments and order do not matter."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def protocol_names() -> list[str]:
    """Return the names of the cards that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_protocol(name_or_path: str | Path) -> ProtocolCard:
    """Load a shipped card by name, or any card by path (.yaml or .json).

    Raises:
        ProtocolError: if there is no such card, or one of its fields is unknown, missing or wrong.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml", ".json"):
        path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise ProtocolError(
            f"no protocol {str(name_or_path)!r}. Known: {', '.join(protocol_names())}; "
            "or pass the path of a .yaml file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    return _build_card(content, path)


def _build_card(content: Any, path: Path) -> ProtocolCard:
    _check_keys(content, ProtocolCard, path)
    _check_keys(content["bootstrap"], Bootstrap, path)
    _check_types(content, path)
    try:
        check_metrics(content["metrics"])
    except ValueError as error:
        raise ProtocolError(f"{path}: {error}") from error
    metrics = {key: dict(options or {}) for key, options in content["metrics"].items()}
    bootstrap = Bootstrap(**content["bootstrap"])
    return ProtocolCard(**content | {"metrics": metrics, "bootstrap": bootstrap})


def _check_keys(content: Any, kind: type, path: Path) -> None:
    if not isinstance(content, dict):
        raise ProtocolError(f"{path}: expected a mapping for {kind.__name__}, got {content!r}")
    expected = {field.name for field in fields(kind)}
    missing, unknown = sorted(expected - content.keys()), sorted(content.keys() - expected)
    if missing or unknown:
        raise ProtocolError(
            f"{path}: missing fields {missing}, unknown fields {unknown}. A card states every "
            f"field of {kind.__name__} and no other."
        )


def _check_types(content: dict[str, Any], path: Path) -> None:
    for field, choices in CHOICES.items():
        if content[field] not in choices:
            raise ProtocolError(
                f"{path}: {field} must be one of {', '.join(choices)}, got {content[field]!r}"
            )
    numbers = {name: content[name] for name in ("min_duration", "loudness_floor", "version")}
    if content["generated_loudness"] is not None:
        numbers["generated_loudness"] = content["generated_loudness"]
    numbers |= {f"bootstrap.{name}": value for name, value in content["bootstrap"].items()}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ProtocolError(f"{path}: {name} must be a number, got {value!r}")
    _check_bootstrap(content["bootstrap"], path)
    _check_options(content["metrics"], path)


def _check_options(metrics: Any, path: Path) -> None:
    if not isinstance(metrics, dict) or not metrics:
        raise ProtocolError(f"{path}: metrics must name one or more metrics with their options")
    for key, options in metrics.items():
        if not isinstance(options, dict | None):
            raise ProtocolError(f"{path}: options of {key} must be a mapping, got {options!r}")


def _check_bootstrap(numbers: dict[str, Any], path: Path) -> None:
    wrong = [key for key in ("resamples", "seed") if not isinstance(numbers[key], int)]
    if (
        wrong
        or numbers["resamples"] < 1
        or numbers["seed"] < 0
        or not 0 < numbers["confidence"] < 1
    ):
        raise ProtocolError(
            f"{path}: bootstrap needs whole numbers of resamples from 1 and seed from 0, and a "
            f"confidence between 0 and 1, got {numbers}"
        )
