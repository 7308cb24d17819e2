"""What a report says about its origin: which sounds, by content, and which tools."""

import hashlib
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from evaluation import __version__
from evaluation.audio import file_sha256
from evaluation.folders import extra_names, list_sounds, shorten
from evaluation.protocols.card import ProtocolCard
from evaluation.sources import Sources


def describe_data(
    sources: Sources, items: list[dict[str, Any]], *, excluded: list[dict[str, str]]
) -> dict[str, Any]:
    """Say which sounds were scored, by hash, and which were left out."""
    reference, generated = sources.reference, sources.generated
    extra = extra_names(list_sounds(reference), list_sounds(generated))
    return {
        "name": sources.name,
        "pairs": len(items),
        "reference": {"folder": str(reference), "sha256": _set_sha256(items, "reference_sha256")},
        "generated": {"folder": str(generated), "sha256": _set_sha256(items, "generated_sha256")},
        "captions": _describe_table(sources.captions),
        "labels": _describe_table(sources.labels),
        "extra_generated": extra,
        "excluded": excluded,
    }


def describe_tools(card: ProtocolCard, *, date: str | None) -> dict[str, Any]:
    """Say what made the numbers: versions of the instrument and of the libraries under it."""
    from evaluation.features.cache import libraries  # those between a file and its features

    return {
        "instrument": __version__,
        "date": date,
        "protocol_sha256": card.sha256(),
        "python": platform.python_version(),
        "libraries": libraries(),
    }


def data_warnings(data: dict[str, Any], items: list[dict[str, Any]]) -> list[str]:
    """Warn of sounds that were left out, and of copies: a copied folder scores perfectly."""
    excluded = [entry["name"] for entry in data["excluded"] if "side" not in entry]  # pairs
    copies = sum(item["reference_sha256"] == item["generated_sha256"] for item in items)
    total = len(items) + len(excluded)
    alike = {
        side: sum(n for n in Counter(item[f"{side}_sha256"] for item in items).values() if n > 1)
        for side in ("reference", "generated")
    }
    warnings = {
        f"{len(excluded)} of {total} pairs left out, reference too short for the protocol: "
        f"{shorten(excluded)}": len(excluded),
        f"{len(data['extra_generated'])} generated files without a reference left out: "
        f"{shorten(data['extra_generated'])}": len(data["extra_generated"]),
        f"{copies} of {len(items)} generated files are byte-identical to their reference": copies,
        **{
            f"{count} of {len(items)} {side} files are byte-identical to another one": count
            for side, count in alike.items()
        },
    }
    return [text for text, count in warnings.items() if count]


def _describe_table(path: Path | None) -> dict[str, str] | None:
    return None if path is None else {"file": str(path), "sha256": file_sha256(path)}


def _set_sha256(items: list[dict[str, Any]], field: str) -> str:
    """Hash names and contents of a set of files, so that one more, less or other one shows."""
    lines = "".join(f"{item[field]}  {item['name']}\n" for item in items)
    return hashlib.sha256(lines.encode()).hexdigest()
