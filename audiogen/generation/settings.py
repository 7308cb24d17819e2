"""What a call of the pipeline may ask for: how to sample, how long, from which seeds."""

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, TypedDict, cast

import torch

from audiogen.lm.guidance import check_guidance
from audiogen.lm.sampling import check_sampling, is_number
from audiogen.rng import item_generator

logger = logging.getLogger(__name__)

Seed = int | tuple[int, int]


class Options(TypedDict, total=False):
    """Keyword arguments that every generating method of `AudioGen` takes."""

    seed: int | Sequence[Seed] | None  # item i draws from (seed, i); a list is as in seeds
    seeds: Sequence[Seed] | None  # one per item: s draws from (s, 0), a pair (s, i) from (s, i)
    greedy: bool  # the most likely code instead of a draw
    temperature: float
    top_k: int
    top_p: float
    guidance_scale: float
    padding: Literal["own", "batch"]  # which text positions are attended to; see `condition`
    progress: Callable[[int, int], None] | bool | None  # gets frames done and to do; True: a bar


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What holds for calls that do not say otherwise."""

    duration: float = 10.0  # seconds
    greedy: bool = False
    temperature: float = 1.0
    top_k: int = 250  # 0, or as many as there are codes, keeps them all
    top_p: float = 0.0  # 0 turns it off; otherwise it is used instead of top_k
    guidance_scale: float = 3.0  # 1 is no guidance
    extend_stride: float | None = None  # seconds; see `window_frames`

    def __post_init__(self) -> None:
        check_sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        check_guidance(self.guidance_scale)
        if not math.isfinite(self.temperature):
            raise ValueError(f"temperature must be a finite number, got {self.temperature!r}")


def check_options(options: Options) -> None:
    """Refuse keywords that no method takes, which a typed dictionary alone would let through.

    Raises:
        TypeError: naming the keyword and the nearest known one.
        ValueError: if padding or progress is not one of what it may be.
    """
    known = Options.__annotations__
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise TypeError(f"unknown option {name!r}{hint}")
    if options.get("padding", "own") not in ("own", "batch"):
        raise ValueError(f'padding is "own" or "batch", got {options["padding"]!r}')
    progress = options.get("progress")
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ValueError(
            "progress is a function of (frames done, frames to do), a bool or None, "
            f"got {progress!r}"
        )


def count_frames(duration: float, frame_rate: float, *, name: str = "duration") -> int:
    """Return round(duration * frame_rate), at least one frame.

    Args:
        duration: seconds.
        frame_rate: Hz.
        name: what the caller calls the number.

    Raises:
        ValueError: if it is not a finite positive number of at least half a frame.
    """
    if not is_number(duration):
        raise ValueError(f"{name} must be a number of seconds, got {duration!r}")
    if not math.isfinite(duration) or duration <= 0:
        raise ValueError(f"{name} must be more than 0 seconds, got {duration}")
    frames = round(float(duration) * frame_rate)  # numpy's would be rounded to their own width
    if frames < 1:
        raise ValueError(
            f"{name} of {duration:g} s is shorter than one frame: ask for {1 / frame_rate:g} s "
            "or more"
        )
    return frames


def window_frames(
    *, max_duration: float, extend_stride: float | None, frame_rate: float
) -> tuple[int, int]:
    """Return the frames of a window, and those that each window after the first adds.

    Args:
        max_duration: seconds, the longest window the language model was trained on.
        extend_stride: seconds; None is 2, or a fifth of ``max_duration`` if that is less.
        frame_rate: Hz.

    Raises:
        ValueError: if the stride leaves no overlap.
    """
    window = count_frames(max_duration, frame_rate, name="max_duration")
    if extend_stride is None:
        return window, max(1, min(round(2 * frame_rate), window // 5))
    stride = count_frames(extend_stride, frame_rate, name="extend_stride")
    if stride >= window:
        raise ValueError(
            f"extend_stride of {extend_stride:g} s leaves no overlap in windows of "
            f"{max_duration:g} s: give less"
        )
    return window, stride


def chosen(settings: Settings, options: Options) -> Settings:
    """Return ``settings`` with what ``options`` say instead."""
    names = {field.name for field in fields(Settings)}
    changes: dict[str, Any] = {k: v for k, v in options.items() if k in names}
    return replace(settings, **changes)


def item_generators(count: int, options: Options) -> list[torch.Generator]:
    """Return one source of randomness per item, independent of how many items there are.

    Raises:
        ValueError: if both ``seed`` and ``seeds`` are given, or ``seeds`` is not one per item.
    """
    seed, seeds = options.get("seed"), options.get("seeds")
    if seed is not None and seeds is not None:
        raise ValueError("give either seed, for all items, or seeds, one per item: not both")
    if isinstance(seed, list | tuple):
        seed, seeds = None, seed
    if seeds is None:
        if seed is None:
            seed = secrets.randbits(32)
            logger.info("no seed given: seed=%d makes these sounds again", seed)
        seeds = [(_integer(seed), item) for item in range(count)]
    if isinstance(seeds, str) or len(seeds) != count:
        raise ValueError(f"expected one of seeds per description: {count}, got {seeds!r}")
    pairs = [entry if isinstance(entry, tuple) else (entry, 0) for entry in seeds]
    return [item_generator(seed=_integer(s), item=_integer(i)) for s, i in pairs]


def _integer(value: object) -> int:
    if not is_number(value, whole=True):
        raise ValueError(f"a seed is a whole number, got {value!r}")
    return int(cast(int, value))
