"""The switches of a protocol card, one at a time: what published protocols do not agree on.

Each switch is the card with one choice changed, for everything on the card that has this choice.
Only choices that move a number are here; names and prose are not.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.explanation.switch_values import CHECKPOINTS, DEFAULTS, LOUDNESS, OPTIONS, WINDOWS
from evaluation.preparation.resample import METHODS
from evaluation.preparation.steps import Steps
from evaluation.protocols.card import ProtocolCard, ProtocolError

Content = dict[str, Any]
Change = tuple[str, Content]  # in words, and the changed content of the card


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """One choice of a card, made otherwise."""

    name: str  # of the choice
    change: str  # from what to what
    card: ProtocolCard | None  # None if the changed card is none
    problem: str | None = None  # why it is none
    share: float = 1.0  # of the clips that are scored


def list_switches(card: ProtocolCard) -> list[Switch]:
    """Return every switch of a card, in the order of the card."""
    found = []
    for name, changes in CHOICES.items():
        for change, content in changes(card.to_dict()):
            try:
                changed = ProtocolCard.from_dict(content, where=f"{name}: {change}")
            except ProtocolError as error:
                found.append(Switch(name=name, change=change, card=None, problem=str(error)))
            else:
                found.append(Switch(name=name, change=change, card=changed))
    half = Switch(name="clips", change="all -> a random half", card=card, share=0.5)
    return [*found, half]  # no choice of the card, but what a choice is to be held against


def _length(content: Content) -> Iterator[Change]:
    others = {"cut": "keep", "keep": "cut"}
    if content["length"] in others:
        yield _set(content, "length", others[content["length"]])


def _captions(content: Content) -> Iterator[Change]:
    for other in ("first", "all"):
        if content["captions"] not in (other, "none"):
            yield _set(content, "captions", other)


def _loudness(content: Content) -> Iterator[Change]:
    steps = _canonical(content["generated"])
    kept = [step for step in steps if not step.keys() & {"loudness", "clip"}]
    if len(kept) < len(steps):
        yield "generated sounds to a target level -> as they are", content | {"generated": kept}
    else:
        change = "generated sounds as they are -> -14 LUFS, clipped"
        yield change, content | {"generated": [*steps, *LOUDNESS]}


def _resampler(content: Content) -> Iterator[Change]:
    for method in METHODS:

        def use(name: str, fields: Any, method: str = method) -> Any:
            return {"rate": fields["rate"], "method": method} if name == "resample" else fields

        yield from _for_all_steps(
            content, use, f"{_now(content, 'resample', 'method')} -> {method}"
        )


def _mono(content: Content) -> Iterator[Change]:
    for how in ("mean", "first"):

        def use(name: str, fields: Any, how: str = how) -> Any:
            return {"how": how} if name == "mono" else fields

        yield from _for_all_steps(
            content, use, f"{_now(content, 'mono', 'how')} -> {how} of the channels"
        )


def _gain(content: Content) -> Iterator[Change]:
    yield from _without(content, ("peak", "positive_max"), "gain of each sound -> none")
    if not _has(content, ("peak", "positive_max")):
        yield "no gain -> peak at -1 dB", _with_step(content, {"peak": -1.0})


def _offset(content: Content) -> Iterator[Change]:
    yield from _without(content, ("remove_dc",), "offset removed -> kept")
    if not _has(content, ("remove_dc",)):
        yield "offset kept -> removed", _with_step(content, "remove_dc", first=True)


def _rounding(content: Content) -> Iterator[Change]:
    yield from _without(content, ("pcm16",), "rounded to 16 bit -> as decoded")
    if not _has(content, ("pcm16",)):
        yield "as decoded -> rounded to 16 bit", _with_step(content, "pcm16")


def _duration(content: Content) -> Iterator[Change]:
    yield from _without(content, ("exactly", "at_least", "at_most"), "fixed length -> own length")
    if not _has(content, ("exactly",)):
        yield "own length -> exactly 10 s", _with_step(content, {"exactly": 10.0})


def _windows(content: Content) -> Iterator[Change]:
    yield from _network_options(content, WINDOWS)


def _checkpoint(content: Content) -> Iterator[Change]:
    yield from _network_options(content, CHECKPOINTS)


def _network_dtype(content: Content) -> Iterator[Change]:
    now = ", ".join(sorted({own["dtype"] for own in content["features"].values()}))
    for dtype in ("float32", "bfloat16"):
        changed = copy.deepcopy(content)
        for own in changed["features"].values():
            own["dtype"] = dtype
        if changed != content:
            yield f"{now} -> {dtype}", changed


def _metric_option(kind: str, option: str) -> Callable[[Content], Iterator[Change]]:
    def changes(content: Content) -> Iterator[Change]:
        own = [options for options in content["metrics"].values() if options.get("kind") == kind]
        now = {str(options.get(option, DEFAULTS[kind][option])) for options in own}
        for value in OPTIONS[kind][option] if own else ():
            if now == {str(value)}:
                continue
            changed = copy.deepcopy(content)
            for options in changed["metrics"].values():
                if options.get("kind") == kind:
                    options[option] = value
            yield f"{', '.join(sorted(now))} -> {value}", changed

    return changes


CHOICES: dict[str, Callable[[Content], Iterator[Change]]] = {
    "level rule": _loudness,
    "length rule": _length,
    "captions": _captions,
    "mono": _mono,
    "resampler": _resampler,
    "offset": _offset,
    "gain": _gain,
    "16 bit": _rounding,
    "duration": _duration,
    "windows": _windows,
    "checkpoint": _checkpoint,
    "precision": _network_dtype,
    **{
        f"{kind}: {option}": _metric_option(kind, option)
        for kind, options in OPTIONS.items()
        for option in options
    },
}
NAMES = (*CHOICES, "clips")


def _set(content: Content, field: str, value: Any) -> Change:
    return f"{content[field]} -> {value}", content | {field: value}


def _canonical(steps: Any) -> list[dict[str, Any]]:
    return Steps(steps).canonical()


def _lists(content: Content) -> list[Content]:
    """Return the parts of a card that have steps before networks or metrics."""
    return [content, *content["features"].values()]


def _has(content: Content, names: tuple[str, ...]) -> bool:
    return any(
        step.keys() & set(names) for part in _lists(content) for step in _canonical(part["input"])
    )


def _for_all_steps(
    content: Content, change: Callable[[str, Any], Any], words: str
) -> Iterator[Change]:
    """Yield the card with the fields of all its steps changed, if that changes any."""
    changed = copy.deepcopy(content)
    for part, field in [*((part, "input") for part in _lists(changed)), (changed, "generated")]:
        part[field] = [
            {name: change(name, fields) for name, fields in step.items()}
            for step in _canonical(part[field])
        ]
    if ProtocolCard.from_dict(changed).sha256() != ProtocolCard.from_dict(content).sha256():
        yield words, changed


def _without(content: Content, names: tuple[str, ...], words: str) -> Iterator[Change]:
    """Yield the card without some steps, if it has any."""
    if not _has(content, names):
        return
    changed = copy.deepcopy(content)
    for part in _lists(changed):
        part["input"] = [s for s in _canonical(part["input"]) if not s.keys() & set(names)]
    yield words, changed


def _with_step(content: Content, step: Any, *, first: bool = False) -> Content:
    """Return the card with one more step before everything that is measured."""
    changed = copy.deepcopy(content)
    for part in _lists(changed):
        steps = _canonical(part["input"])
        part["input"] = [step, *steps] if first else [*steps, step]
    return changed


def _now(content: Content, name: str, field: str) -> str:
    """Return what the steps of a name say now."""
    parts = [*(part["input"] for part in _lists(content)), content["generated"]]
    steps = [step[name] for part in parts for step in _canonical(part) if name in step]
    return ", ".join(sorted({str(fields[field]) for fields in steps}))


def _network_options(
    content: Content, table: Mapping[str, tuple[Mapping[str, Any], ...]]
) -> Iterator[Change]:
    """Yield the card with other options for all features of a network, one network at a time."""
    for network, choices in table.items():
        names = [n for n, own in content["features"].items() if own["network"] == network]
        for choice in choices:
            changed = copy.deepcopy(content)
            for name in names:
                changed["features"][name] |= choice
            if changed != content:
                words = " ".join(f"{key} {value}" for key, value in choice.items())
                yield f"{network} -> {words}", changed
