"""Which sounds a run was made of: counts, sources, licences, and the files left out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from audiogen.data.manifest import SPLITS, Clip, read_manifest
from recipes.page.inputs import MissingInputError, Run, main_label

SHOWN = 200  # skipped files listed by name
UNLABELED = "without a label"


def corpus_section(run: Run) -> dict[str, Any]:
    """Return the tables about data/manifest.jsonl and data/skipped.jsonl."""
    path = run.folder / "data" / "manifest.jsonl"
    if not path.is_file():
        raise MissingInputError(run.why_missing("data/manifest.jsonl", "data"))
    clips = list(read_manifest(path))
    label = main_label(clip.labels for clip in clips)
    origins = Counter((clip.source, clip.licence) for clip in clips)
    return {
        "splits": SPLITS,
        "label": label,
        "counts": count_clips(clips, label) if label else [],
        "total": _row("all", clips),
        "seconds": {s: sum(c.duration for c in clips if c.split == s) for s in SPLITS},
        "captioned": sum(bool(clip.captions) for clip in clips),
        "number": len(clips),
        "origins": [(*origin, number) for origin, number in origins.most_common()],
        "skipped": skipped_files(run),
    }


def count_clips(clips: Sequence[Clip], label: str) -> list[dict[str, Any]]:
    """Return one row of counts per value of a label, by name; clips without it come last."""
    values = sorted({clip.labels[label] for clip in clips if label in clip.labels})
    rows = [_row(v, [c for c in clips if c.labels.get(label) == v]) for v in values]
    rest = [clip for clip in clips if label not in clip.labels]
    return [*rows, _row(UNLABELED, rest)] if rest else rows


def skipped_files(run: Run) -> dict[str, Any]:
    """Return what was left out when sounds were prepared and when they were encoded.

    "number" is None where nothing says whether files were left out: procedural sounds are made,
    not read.
    """
    prepared = _listed(run, "data/skipped.jsonl", "data")
    encoded = _listed(run, "tokens/skipped.jsonl", "tokens")
    if prepared is None and encoded is None:
        return {"number": None, "rows": [], "more": 0}
    rows = [
        (str(r.get("file", r.get("id", "?"))), str(r.get("reason", "?")))
        for r in [*(prepared or []), *(encoded or [])]
    ]
    return {"number": len(rows), "rows": rows[:SHOWN], "more": max(0, len(rows) - SHOWN)}


def _listed(run: Run, name: str, stage: str) -> list[dict[str, Any]] | None:
    try:
        return run.rows(name, stage=stage)
    except MissingInputError:
        return None


def _row(name: str, clips: Iterable[Clip]) -> dict[str, Any]:
    counts = Counter(clip.split for clip in clips)
    return {"name": name, "counts": [counts[split] for split in SPLITS], "sum": counts.total()}
