"""Patterns by name: from a mapping, as configs and model folders hold it, to a `Pattern`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from torch import Tensor

from audiogen.tokens.layouts import CoarseFirst, Delay, MusicLM, Parallel, Pattern, Unroll


def make_pattern(options: Mapping[str, Any], *, num_codebooks: int) -> Pattern:
    """Build a pattern from its data.

    Args:
        options: ``name``, a key of `PATTERNS`, and what that class takes.
        num_codebooks: K.

    Raises:
        ValueError: if the name is unknown, or an option is unknown or does not fit.

    >>> make_pattern({"name": "delay", "delays": [0, 1]}, num_codebooks=2).layout(3).tolist()
    [[-1, 0, 1, 2, -1], [-1, -1, 0, 1, 2]]
    >>> make_pattern({"name": "unroll"}, num_codebooks=2).layout(2).tolist()
    [[-1, 0, -1, 1, -1], [-1, -1, 0, -1, 1]]
    """
    if not isinstance(options, Mapping) or options.get("name") not in list(PATTERNS):
        raise ValueError(
            f"a pattern is a mapping with the name {', '.join(PATTERNS)}, such as "
            f"{{'name': 'parallel'}}; got {options!r}"
        )
    kind = PATTERNS[options["name"]]
    known = [field.name for field in fields(kind) if field.name != "num_codebooks"]
    given = {key: value for key, value in options.items() if key != "name"}
    for key in given:
        if key not in known:
            raise ValueError(
                f"the pattern {options['name']} has no option {key!r}: it takes {', '.join(known)}"
            )
    return kind(num_codebooks=num_codebooks, **given)


def choose_pattern(
    num_codebooks: int, *, delays: Sequence[int] | None, pattern: Mapping[str, Any] | None
) -> Pattern:
    """Build the pattern that one of two keywords describes.

    Args:
        num_codebooks: K.
        delays: short for ``{"name": "delay", "delays": delays}``.
        pattern: as `make_pattern` takes it.

    Raises:
        ValueError: if not exactly one is given, or it describes no pattern.
    """
    if (delays is None) == (pattern is None):
        raise ValueError(
            f"expected either delays or a pattern, got delays={delays} and pattern={pattern}: "
            f"the pattern of delays is {{'name': 'delay', 'delays': [...]}}"
        )
    options = {"name": "delay", "delays": delays} if pattern is None else pattern
    return make_pattern(options, num_codebooks=num_codebooks)


@dataclass(frozen=True, kw_only=True)
class Stereo(Pattern):
    """Both channels of a sound whose channels a mono codec coded one by one.

    The codebooks are the left channel's first, the right's first, the left's second, and so on:
    see `audiogen.tokens.stereo.merge_channels`.

    Args:
        pattern: of one channel's codebooks, a mapping as `make_pattern` takes it; None for delays
            of 0, 1, 2, ...
        per_timestep: false puts the codes of both channels into the steps that the pattern has for
            those of one. True gives the pattern twice the frames, left 0, right 0, left 1, ...:
            twice the steps, and the right channel is predicted from the left.
    """

    name: ClassVar[str] = "stereo"
    pattern: Mapping[str, Any] | None = None
    per_timestep: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_codebooks % 2:
            raise ValueError(
                f"stereo needs an even number of codebooks, half of them for each channel, "
                f"got {self.num_codebooks}"
            )
        if not isinstance(self.per_timestep, bool):
            raise ValueError(f"per_timestep must be true or false, got {self.per_timestep!r}")
        object.__setattr__(self, "pattern", self._channel.options)

    @property
    def _channel(self) -> Pattern:
        options = {"name": "delay"} if self.pattern is None else self.pattern
        return make_pattern(options, num_codebooks=self.num_codebooks // 2)

    def _delays(self) -> list[int]:
        return [self._channel.max_delay]

    def _steps(self, num_frames: int) -> Tensor:
        if self.per_timestep:
            steps = self._channel.steps(2 * num_frames).unflatten(1, (num_frames, 2))
            return steps.transpose(1, 2).flatten(0, 1)
        return self._channel.steps(num_frames).repeat_interleave(2, dim=0)

    def _count(self, num_frames: int) -> int:
        layout = self._channel.layout(num_frames * (2 if self.per_timestep else 1))
        return layout.shape[1]


PATTERNS: dict[str, type[Pattern]] = {
    kind.name: kind for kind in (Delay, Parallel, Unroll, CoarseFirst, MusicLM, Stereo)
}
