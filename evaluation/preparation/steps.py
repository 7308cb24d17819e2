"""Preparation of a sound as an ordered list of named steps, the way a protocol card states it.

A step is a name (`clip`), or a name with its value (`peak: -1.0`) or its fields
(`loudness: {target: -14.0, floor: 0.002}`). The order is part of the protocol: the same steps in
another order are another preparation, with another hash.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, Protocol

from evaluation.preparation.resample import method_version, missing_package
from evaluation.preparation.sound import Sound
from evaluation.preparation.steps_length import AtLeast, AtMost, Exactly
from evaluation.preparation.steps_level import Clip, Loudness, Pcm16, Peak, PositiveMax, RemoveDc
from evaluation.preparation.steps_rate import Mono, Resampled, Stereo

VERSION = "1"  # of all steps; raise it when any of them gives other samples

__all__ = ["STEPS", "VERSION", "Sound", "Step", "StepError", "Steps"]


class StepError(ValueError):
    """A step that does not exist or cannot be done: which, and what was expected."""


class Step(Protocol):
    """One change of a sound; a frozen record whose fields are those of the card."""

    def __call__(self, sound: Sound) -> Sound:
        """Return the changed sound; the one given stays as it is."""
        ...


STEPS: dict[str, Callable[..., Step]] = {
    "mono": Mono,
    "stereo": Stereo,
    "remove_dc": RemoveDc,
    "resample": Resampled,
    "loudness": Loudness,
    "clip": Clip,
    "peak": Peak,
    "pcm16": Pcm16,
    "positive_max": PositiveMax,
    "at_least": AtLeast,
    "at_most": AtMost,
    "exactly": Exactly,
}


class Steps:
    """An ordered preparation: callable, `Sound` to `Sound`, without randomness."""

    def __init__(self, steps: Iterable[Any]) -> None:
        """Take the list as a card states it.

        Raises:
            StepError: naming the step that is unknown, or the field that is unknown, missing or
                wrong.
        """
        if isinstance(steps, str | Mapping) or not isinstance(steps, Iterable):
            raise StepError(f"expected a list of steps such as [mono: mean, clip], got {steps!r}")
        self.steps: tuple[tuple[str, Step], ...] = tuple(_build(raw) for raw in steps)

    def __call__(self, sound: Sound) -> Sound:
        """Return the prepared sound.

        Raises:
            ValueError: naming the step that cannot be done with this sound.
        """
        for name, step in self.steps:
            try:
                sound = step(sound)
            except ValueError as error:
                raise StepError(f"step {name}: {error}") from error
        return sound

    def identity(self) -> dict[str, Any]:
        """Return, as JSON values, all that decides what comes out: for keys of caches."""
        methods = [step.method for _, step in self.steps if isinstance(step, Resampled)]
        return {
            "version": VERSION,
            "steps": self.canonical(),
            "resamplers": [method_version(m) for m in methods if missing_package(m) is None],
        }

    def canonical(self) -> list[dict[str, Any]]:
        """Return the list with every field of every step written out, as JSON values."""
        return [{name: _plain(asdict(step))} for name, step in self.steps]  # type: ignore[call-overload]

    def missing(self) -> str | None:
        """Say which package a resampler lacks here and how to get it; None if none is lacking."""
        reasons = (
            missing_package(step.method) for _, step in self.steps if isinstance(step, Resampled)
        )
        return next((reason for reason in reasons if reason), None)

    @property
    def sample_rate(self) -> int | None:
        """Rate of what comes out, Hz; None if it is the sound's own."""
        rates = [step.rate for _, step in self.steps if isinstance(step, Resampled)]
        return rates[-1] if rates else None

    @property
    def mono(self) -> str | None:
        """Return how channels are made one, as the step `mono` says; None if they are not."""
        rules = [step.how for _, step in self.steps if isinstance(step, Mono)]
        return rules[0] if rules else None

    @property
    def channels(self) -> int | None:
        """Channels of what comes out; None if they are the sound's own."""
        counts = [
            1 if isinstance(step, Mono) else 2
            for _, step in self.steps
            if isinstance(step, Mono | Stereo)
        ]
        return counts[-1] if counts else None


def _build(raw: Any) -> tuple[str, Step]:
    name, value = _split(raw)
    if name not in STEPS:
        near = difflib.get_close_matches(name, STEPS, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise StepError(f"unknown step {name!r}.{hint} Known: {', '.join(STEPS)}.")
    options = _options(name, value)
    try:
        return name, STEPS[name](**options)
    except ValueError as error:
        raise StepError(f"step {name}: {error}") from error


def _split(raw: Any) -> tuple[str, Any]:
    if isinstance(raw, str):
        return raw, None
    if isinstance(raw, Mapping) and len(raw) == 1:
        name, value = next(iter(raw.items()))
        if isinstance(name, str):
            return name, value
    raise StepError(f"a step is a name or one name with its value, got {raw!r}")


def _options(name: str, value: Any) -> dict[str, Any]:
    """Return a step's fields; a value alone is the first of them."""
    known = {field.name: field for field in fields(STEPS[name])}  # type: ignore[arg-type]
    if value is None:
        options = {}
    elif isinstance(value, Mapping):
        options = dict(value)
    elif known:
        options = {next(iter(known)): value}
    else:
        raise StepError(f"step {name} has no value, got {value!r}")
    unknown = [key for key in options if key not in known]
    required = [key for key, field in known.items() if field.default is MISSING]
    missing = [key for key in required if key not in options]
    if unknown or missing:
        near = difflib.get_close_matches(str(unknown[0]), known, n=1, cutoff=0.5) if unknown else []
        hint = f" Did you mean {near[0]}?" if near else ""
        raise StepError(
            f"step {name}: missing fields {missing}, unknown fields {unknown}.{hint} It has "
            f"{', '.join(known) or 'none'}."
        )
    return options


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value
