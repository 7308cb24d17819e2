"""What the probe heard: caption following, families, guidance, codebooks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipes.demo.gates import EXPECTED
from recipes.gates import read_gates
from recipes.page.codec_or_lm import RULES, Measured, SpectralLoss, judge, summary
from recipes.page.inputs import Run, is_number

SETS = {
    "real": ("Real clips", "how far the probe can be trusted"),
    "roundtrip": ("Codec round trip", "the ceiling: what the codec keeps"),
    "generated": ("Generated", "with guidance"),
    "unguided": ("Generated without guidance", "guidance scale 1"),
    "shuffled": ("Generated, captions shuffled", "the floor: what chance gives"),
}
FAMILY_SETS = ("real", "roundtrip", "generated", "unguided")
PLURALS = {"family": "families", "class": "classes"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """An accuracy or a difference of two, with its 95 % interval."""

    value: float | None
    n: int
    low: float | None
    high: float | None

    @classmethod
    def read(cls, row: Mapping[str, Any] | None, key: str) -> "Share":
        """Read an entry of scores.json; what is missing or NaN becomes None."""
        row = row or {}
        value, low, high = (_number(row.get(name)) for name in (key, "low", "high"))
        return cls(value=value, n=int(row.get("n") or 0), low=low, high=high)


def scores_section(run: Run) -> dict[str, Any]:
    """Return the tables of scores.json; without labels only levels were compared."""
    scores = run.json("scores.json", stage="probe")
    probe = scores.get("probe")
    if not probe:
        rms = scores.get("rms") or {}
        levels = [(SETS[name][0], _number(rms.get(name))) for name in FAMILY_SETS if name in rms]
        return {"probe": None, "n": scores["n"], "levels": levels}
    labels = dict(probe["labels"])
    main = probe["main"]
    order = [main, *(name for name in labels if name != main)]
    return {
        "probe": probe,
        "n": scores["n"],
        "main": main,
        "mains": PLURALS.get(main, f"{main} values"),
        "labels": {name: labels[name] for name in order},
        "sets": [_set_row(name, scores["sets"].get(name), order) for name in SETS],
        "families": [_family_row(row) for row in scores.get("classes") or []],
        "family_sets": [(name, SETS[name][0]) for name in FAMILY_SETS],
        "guidance": {
            name: Share.read((scores.get("guidance") or {}).get(name), "gain") for name in order
        },
        "quiet": quiet_bound(),
    }


def losses_section(run: Run) -> dict[str, Any]:
    """Return what codec and language model lose of every class; of all clips without labels."""
    scores = run.json("scores.json", stage="probe")
    if scores.get("probe"):
        rows = [_measured(row) for row in scores["classes"]]
        label = scores["probe"]["main"]
    else:
        rms = scores["rms"]
        levels = {n: rms[n] / rms["real"] if rms.get("real") else None for n in rms}
        rows = [_measured(scores | {"name": "all clips", "rms_ratio": levels})]
        label = "sounds"
    verdicts = judge(rows)
    return {
        "verdicts": verdicts,
        "summary": summary(verdicts),
        "label": label,
        "rules": RULES,
    }


def codebooks_section(run: Run) -> dict[str, Any]:
    """Return perplexity and usage of every codebook over the training codes."""
    books = run.json("scores.json", stage="probe")["codebooks"]
    size = books["codebook_size"]
    return {
        "size": size,
        "even_nats": math.log(size),
        "bound": next(g for g in read_gates(EXPECTED) if g["name"] == "codebook_perplexity_share")[
            "at_least"
        ],
        "rows": [
            {"perplexity": _number(perplexity), "usage": _number(usage), "size": size}
            for perplexity, usage in zip(books["perplexity"], books["usage"], strict=True)
        ],
    }


def quiet_bound() -> float:
    """The level, relative to the real clips, below which a family counts as lost."""
    gate = next(g for g in read_gates(EXPECTED) if g["name"] == "family_rms_generated")
    return float(gate["at_least"])


def _set_row(name: str, content: Mapping[str, Any] | None, order: list[str]) -> dict[str, Any]:
    title, role = SETS[name]
    content = content or {}
    labels = content.get("labels") or {}
    return {
        "name": name,
        "title": title,
        "role": role,
        "shares": [Share.read(labels.get(label), "accuracy") for label in order],
        "silent": _number(content.get("silent")),
    }


def _family_row(row: Mapping[str, Any]) -> dict[str, Any]:
    accuracy, ratio = row.get("accuracy") or {}, row.get("rms_ratio") or {}
    return {
        "name": row["name"],
        "n": row["n"],
        "accuracy": {name: _number(accuracy.get(name)) for name in FAMILY_SETS},
        "rms": {name: _number(ratio.get(name)) for name in FAMILY_SETS if name != "real"},
    }


def _measured(row: Mapping[str, Any]) -> Measured:
    accuracy, ratio = row.get("accuracy") or {}, row.get("rms_ratio") or {}
    found = {name: _number(value) for name, value in (row.get("spectrum_db") or {}).items()}
    spectrum = None
    codec, model = found.get("codec"), found.get("model")
    if codec is not None and model is not None:
        spectrum = SpectralLoss(codec=codec, model=model, chance=found.get("chance"))
    real, roundtrip, generated = (
        _number(accuracy.get(name)) for name in ("real", "roundtrip", "generated")
    )
    return Measured(
        name=str(row["name"]),
        n=int(row["n"]),
        accuracy=(real, roundtrip, generated),
        level=(_number(ratio.get("roundtrip")), _number(ratio.get("generated"))),
        spectrum=spectrum,
    )


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None
