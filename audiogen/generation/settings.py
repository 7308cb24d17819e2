"""What a call of the pipeline may ask for: how to sample, how long, from which seeds."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from audiogen.generation.scorers import Scorer, check_scorer
from audiogen.generation.seeds import Seed
from audiogen.lm.guidance import check_guidance
from audiogen.lm.sampling import check_sampling, is_number

MOST_CANDIDATES = 1000  # of a caption: all are held until the best is known


class Options(TypedDict, total=False):
    """Keyword arguments that every generating method of `AudioGen` takes."""

    seed: int | Sequence[Seed] | None  # item i draws from (seed, i); a list is as in seeds
    seeds: Iterable[Seed] | None  # one per item: s draws from (s, 0), a pair (s, i) from (s, i)
    greedy: bool  # the most likely code instead of a draw
    temperature: float
    top_k: int
    top_p: float
    guidance_scale: float
    guidance_window: tuple[float, float] | None  # seconds of the sound that are guided; None: all
    two_step: bool  # with and without caption one after the other: half the rows at once
    best_of: int  # sounds made for each that is kept
    scorer: str | Scorer  # which one is kept; see `audiogen.generation.scorers`
    padding: Literal["own", "batch"]  # which text positions are attended to; see `condition`
    windows: Literal["exact", "reference"]  # see `audiogen.generation.reference`;
    # left out, "reference" with padding="batch" and "exact" without
    progress: Callable[[int, int], None] | bool | None  # gets frames done and to do; True: a bar


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What holds for calls that do not say otherwise."""

    duration: float = 10.0  # seconds
    count: Literal["nearest", "reference"] = "nearest"  # how it becomes whole frames
    greedy: bool = False
    temperature: float = 1.0
    top_k: int = 250  # 0, or as many as there are codes, keeps them all
    top_p: float = 0.0  # 0 turns it off; otherwise it is used instead of top_k
    guidance_scale: float = 3.0  # 1 is no guidance
    guidance_window: tuple[float, float] | None = None  # seconds
    two_step: bool = False
    best_of: int = 1
    scorer: str | Scorer = "likelihood"
    extend_stride: float | None = None  # seconds; see `window_frames`

    def __post_init__(self) -> None:
        check_sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        check_guidance(self.guidance_scale)
        if not math.isfinite(self.temperature):
            raise ValueError(f"temperature must be a finite number, got {self.temperature!r}")
        for name in ("greedy", "two_step"):
            if getattr(self, name) not in (True, False):
                raise ValueError(f"{name} is true or false, got {getattr(self, name)!r}")
        check_guidance_window(self.guidance_window)
        self._check_best_of()

    def _check_best_of(self) -> None:
        best_of = self.best_of
        if not is_number(best_of, whole=True) or best_of < 1:
            raise ValueError(f"best_of must be a whole number of at least 1, got {best_of!r}")
        if best_of > MOST_CANDIDATES:
            raise ValueError(f"best_of is at most {MOST_CANDIDATES}, got {best_of}")
        if best_of > 1 and not self.draws:
            raise ValueError(
                f"best_of {best_of} is a choice between draws, and greedy or temperature 0 gives "
                "the same sound each time: leave one of them out"
            )
        check_scorer(self.scorer)

    @property
    def draws(self) -> bool:
        """Whether anything is left to chance."""
        return not self.greedy and self.temperature > 0


def check_guidance_window(window: tuple[float, float] | None) -> None:
    """Refuse what is not None or a pair of seconds, from and to; the end may be infinite.

    Raises:
        ValueError: with what came instead.
    """
    if window is None:
        return
    fits = isinstance(window, tuple | list) and len(window) == 2 and all(map(is_number, window))
    if not fits or not 0 <= window[0] < window[1]:
        raise ValueError(
            "guidance_window is a pair of seconds, (from, to) with 0 <= from < to, or None for "
            f"the whole sound; got {window!r}"
        )


def guided_frames(
    window: tuple[float, float] | None, *, frame_rate: float, num_frames: int
) -> tuple[int, int] | None:
    """Return the guided frames [first, last) of a sound; None where all are."""
    if window is None:
        return None
    first, last = (round(min(float(s) * frame_rate, num_frames)) for s in window)
    return None if (first, last) == (0, num_frames) else (first, last)


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
    for name, kinds in (("padding", ("own", "batch")), ("windows", ("exact", "reference"))):
        if options.get(name, kinds[0]) not in kinds:
            raise ValueError(f'{name} is "{kinds[0]}" or "{kinds[1]}", got {options[name]!r}')  # type: ignore[literal-required]
    progress = options.get("progress")
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ValueError(
            "progress is a function of (frames done, frames to do), a bool or None, "
            f"got {progress!r}"
        )


def count_frames(
    duration: float, frame_rate: float, *, name: str = "duration", down: bool = False
) -> int:
    """Return the number of frames nearest to a duration, at least one.

    Args:
        duration: seconds.
        frame_rate: Hz.
        name: what the caller calls the number.
        down: int(duration * frame_rate) instead, which is what the reference computes. Rounding
            of the product included: it finds 114 frames of 50 Hz in 2.3 s.

    Raises:
        ValueError: if it is not a finite positive number, or that of no frame.
    """
    if not is_number(duration):
        raise ValueError(f"{name} must be a number of seconds, got {duration!r}")
    if not math.isfinite(duration) or duration <= 0:
        raise ValueError(f"{name} must be more than 0 seconds, got {duration}")
    exact = float(duration) * frame_rate  # numpy's would be rounded to their own width
    frames = int(exact) if down else round(exact)
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

    Both are rounded down, as the reference does.

    Args:
        max_duration: seconds, the longest window the language model was trained on.
        extend_stride: seconds; None is 2, or a fifth of ``max_duration`` if that is less.
        frame_rate: Hz.

    Raises:
        ValueError: if the stride leaves no overlap.
    """
    window = count_frames(max_duration, frame_rate, name="max_duration", down=True)
    if extend_stride is None:
        return window, max(1, min(int(2 * frame_rate), window // 5))
    stride = count_frames(extend_stride, frame_rate, name="extend_stride", down=True)
    if stride >= window:
        raise ValueError(
            f"extend_stride of {extend_stride:g} s leaves no overlap in windows of "
            f"{max_duration:g} s: give less"
        )
    return window, stride


def window_of(num_frames: int, *, window: int, max_duration: float, frame_rate: float) -> int:
    """Return the window of one sound: itself, if it is no longer than ``max_duration``, seconds.

    That is one frame more than ``window`` where rounding alone made the product fall short of a
    whole number, as it does for 2.3 s at 50 Hz.
    """
    fits = num_frames <= max_duration * frame_rate + 1e-6
    return max(window, num_frames) if fits else window


def follows_reference(options: Options) -> bool:
    """Whether long sounds are cut into the reference's windows; asked for, or by its padding."""
    usual = "reference" if options.get("padding") == "batch" else "exact"
    return options.get("windows", usual) == "reference"


def chosen(settings: Settings, options: Options) -> Settings:
    """Return ``settings`` with what ``options`` say instead."""
    names = {field.name for field in fields(Settings)}
    changes: dict[str, Any] = {k: v for k, v in options.items() if k in names}
    return replace(settings, **changes)
