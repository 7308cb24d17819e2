"""An audit in words: what to read before a score is believed."""

from collections.abc import Mapping, Sequence
from typing import Any

from audiogen.command import printable

SHOWN = 5  # names of a kind; audit.json has them all
# How many clips others had left; see the README for who.
KNOWN = {975: "all", 964: "AudioLDM", 957: "retrieval papers", 913: "aac-datasets", 886: "Tango",
         882: "ConsistencyTTA", 881: "Stable Audio"}  # fmt: skip


def audit_text(found: Mapping[str, Any]) -> str:
    """Return the whole report, ending in a line break."""
    official = found["official"]
    total, usable = official["clips"], len(found["usable"])
    lines = [
        f"AudioCaps test audio in {printable(found['folder'])}",
        f"held against {printable(official['file'])}: {official['version']}, "
        f"{official['captions']} captions (sha256 {official['sha256'][:12]})",
        "",
        f"{usable} of {total} clips can be scored{_known(usable)}",
        *_damaged(official),
        *_findings(found),
        "",
        f"named as {_counts(found['names'])}; {_counts(found['sample_rates'])}; "
        f"{_counts(found['channels'])}",
        *_bias(found["fad_bias"], total),
    ]
    return "\n".join(lines) + "\n"


def _known(usable: int) -> str:
    return f" ({KNOWN[usable]}, if they are the same ones)" if usable in KNOWN else ""


def _damaged(official: Mapping[str, Any]) -> list[str]:
    lines = []
    if official["damaged_rows"]:
        lines += _listed("rows of the table are damaged and left out", official["damaged_rows"])
    if official["uneven"]:
        lines += _listed("clips of the table do not have five captions", official["uneven"])
    return lines


def _findings(found: Mapping[str, Any]) -> list[str]:
    """A line per kind of finding, with the first names; kinds with nothing found are one line."""
    seconds = [f"{clip} {value:g} s" for clip, value in found["wrong_duration"].items()]
    short = [f"{clip} {value:g} s" for clip, value in found["short"].items()]
    unreadable = [f"{row['file']} ({row['reason']})" for row in found["unreadable"]]
    second = [
        f"{row['file']} ({row['is']}, {row['kept']} is taken)" for row in found["second_files"]
    ]
    kinds: list[tuple[str, Sequence[str]]] = [
        ("clips are missing", found["missing"]),
        ("files cannot be read", unreadable),
        ("clips are silent and left out", found["silent"]),
        ("clips are shorter than a second and left out", short),
        (
            "clips are called as another, but for capitals, and left out",
            [f"{name} ({kept} is taken)" for name, kept in found["same_name"]],
        ),
        ("clips are not 10 s long, but scored", seconds),
        ("groups of clips hold the same samples", [" = ".join(g) for g in found["same_samples"]]),
        ("pairs of clips sound the same", [" ~ ".join(g) for g in found["same_sound"]]),
        ("files are of clips that have one already", second),
        ("files are of another span of a clip's video", found["other_span"]),
        ("files belong to no clip", found["extra"]),
    ]
    lines = [line for what, names in kinds if names for line in _listed(what, names)]
    none = [what for what, names in kinds if not names]
    if found["other_files"]:
        lines.append(f"passed over: {_counts(found['other_files'])}")
    return lines + ([f"none of these: {'; '.join(none)}"] if none else [])


def _bias(bias: Mapping[str, Any], total: int) -> list[str]:
    clips = bias["clips"]
    if bias["at_this_n"] is None:
        return ["", f"FAD at N = {clips} is chance more than anything: no estimate, no comparison"]
    low, high = bias["at_this_n"]
    lines = [
        "",
        f"FAD at N = {clips}: chance alone makes {low:.2g} to {high:.2g} of it, for a model "
        "without a fault (an estimate for VGGish, see the README)",
    ]
    if bias["share"] > 0:
        low, high = bias["added"]
        lines.append(
            f"of which {low:.2g} to {high:.2g} is because {total - clips} clips are not there: the "
            f"bias grows by {bias['share']:.1%}, as 1 / N does. Which clips are gone matters too, "
            "and nobody can say how much"
        )
    return [*lines, "compare only with scores of the same N, or better of the same clips"]


def _listed(what: str, names: Sequence[str]) -> list[str]:
    shown = [f"  {printable(name)}" for name in names[:SHOWN]]
    more = [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return [f"{len(names)} {what}:", *shown, *more]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
