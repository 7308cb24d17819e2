"""The published interleaving patterns as data: where each one puts every frame of every codebook.

A pattern is a name and a few numbers, see `audiogen.tokens.make`; from them and a number of frames
it derives a layout, see `audiogen.tokens.patterns`.

Source: MusicGen (arXiv:2306.05284), section 2.2 and figure 1; VALL-E (arXiv:2301.02111) for
coarse_first, MusicLM (arXiv:2301.11325) for musiclm. The steps are those of AudioCraft 1.4.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Pattern(ABC):
    """Where frames go: subclasses say at which step, everything else follows."""

    name: ClassVar[str]
    num_codebooks: int

    def __post_init__(self) -> None:
        if self.num_codebooks < 1:
            raise ValueError(f"num_codebooks must be at least 1, got {self.num_codebooks}")

    @property
    def max_delay(self) -> int:
        """The longest delay, in frames."""
        return max(self._delays(), default=0)

    @abstractmethod
    def _delays(self) -> Sequence[int]:
        """Return all delays, in frames."""

    @abstractmethod
    def _steps(self, num_frames: int) -> Tensor:
        """Return int64 [K, T], the step of every frame: at least 1, growing along T."""

    @abstractmethod
    def _count(self, num_frames: int) -> int:
        """Return S, the steps of the whole layout, the empty step 0 included."""

    def steps(self, num_frames: int) -> Tensor:
        """Return int64 [K, T], the step at which each of T frames of each codebook is held.

        Raises:
            ValueError: if there is not at least one frame.
        """
        if num_frames < 1:
            raise ValueError(f"a layout needs at least one frame, got num_frames={num_frames}")
        return self._steps(num_frames)

    def layout(self, num_frames: int) -> Tensor:
        """Return int64 [K, S], the frame of codebook ``k`` held at step ``s``, -1 for none.

        Raises:
            ValueError: if there is not at least one frame.
        """
        steps = self.steps(num_frames)
        layout = torch.full((self.num_codebooks, self._count(num_frames)), -1)
        return layout.scatter(1, steps, torch.arange(num_frames).expand_as(steps))

    def count_valid_steps(self, num_frames: int) -> int:
        """Return how many steps the reference trains on: all but the last ``max_delay``."""
        return self._count(num_frames) - self.max_delay

    @property
    def options(self) -> dict[str, Any]:
        """What rebuilds the pattern, as `audiogen.tokens.make.make_pattern` takes it."""
        values = asdict(self)
        del values["num_codebooks"]
        return {"name": self.name} | values


@dataclass(frozen=True, kw_only=True)
class Delay(Pattern):
    """Codebook ``k`` is ``delays[k]`` steps late, so one step predicts K codes of K frames.

    Args:
        delays: K shifts in frames; None for 0, 1, 2, ...
        flatten_first: frames at the beginning that get a step per codebook instead.
        empty_initial: further empty steps before everything.
    """

    name: ClassVar[str] = "delay"
    delays: Sequence[int] | None = None
    flatten_first: int = 0
    empty_initial: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        given = range(self.num_codebooks) if self.delays is None else self.delays
        object.__setattr__(self, "delays", _whole("delays", given))
        check_delays(self._delays(), self.num_codebooks)
        _check_count("flatten_first", self.flatten_first)
        _check_count("empty_initial", self.empty_initial)

    def _delays(self) -> Sequence[int]:
        return self.delays or ()

    def _steps(self, num_frames: int) -> Tensor:
        flat = min(self.flatten_first, num_frames)
        codebooks = torch.arange(self.num_codebooks)[:, None]
        frames = torch.arange(num_frames)
        one_by_one = frames * self.num_codebooks + codebooks
        late = flat * (self.num_codebooks - 1) + frames + torch.tensor(self._delays())[:, None]
        return 1 + self.empty_initial + one_by_one.where(frames < flat, late)

    def _count(self, num_frames: int) -> int:
        flat = min(self.flatten_first, num_frames)
        rest = num_frames - flat + self.max_delay
        return 1 + self.empty_initial + flat * self.num_codebooks + rest


@dataclass(frozen=True, kw_only=True)
class Parallel(Pattern):
    """All codes of a frame at one step.

    Args:
        empty_initial: further empty steps before everything.
    """

    name: ClassVar[str] = "parallel"
    empty_initial: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("empty_initial", self.empty_initial)

    def _delays(self) -> Sequence[int]:
        return ()

    def _steps(self, num_frames: int) -> Tensor:
        steps = 1 + self.empty_initial + torch.arange(num_frames)
        return steps.expand(self.num_codebooks, -1)

    def _count(self, num_frames: int) -> int:
        return 1 + self.empty_initial + num_frames


@dataclass(frozen=True, kw_only=True)
class Unroll(Pattern):
    """A frame takes several steps: codebooks of one group share a step, groups follow each other.

    Args:
        flattening: the group of each codebook, 0, 1, ...; None for a group per codebook.
        delays: by how many frames each codebook is late, the same within a group; None for 0.
            Groups due in one frame come in the order of the frames they hold, then of groups.
    """

    name: ClassVar[str] = "unroll"
    flattening: Sequence[int] | None = None
    delays: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        groups = range(self.num_codebooks) if self.flattening is None else self.flattening
        delays = [0] * self.num_codebooks if self.delays is None else self.delays
        object.__setattr__(self, "flattening", _whole("flattening", groups))
        object.__setattr__(self, "delays", _whole("delays", delays))
        check_delays(self._delays(), self.num_codebooks)
        _check_groups(self.flattening or (), self._delays())

    def _delays(self) -> Sequence[int]:
        return self.delays or ()

    def _group_delays(self) -> list[int]:
        delays = dict(zip(self.flattening or (), self._delays(), strict=True))
        return [delays[group] for group in range(len(delays))]

    def _steps(self, num_frames: int) -> Tensor:
        delays = torch.tensor(self._group_delays())
        frames, groups = torch.arange(num_frames), torch.arange(len(delays))
        due = frames + delays[:, None]  # [M, T]
        # What else is due with frame t of group m: frame due - delay of each group, if any.
        others = due - delays[:, None, None]  # [M', M, T]
        first = (others < frames) | ((others == frames) & (groups[:, None, None] < groups[:, None]))
        before = others.clamp(min=0) + ((others >= 0) & first)
        return 1 + before.sum(dim=0)[torch.tensor(self.flattening)]

    def _count(self, num_frames: int) -> int:
        return 1 + sum(num_frames + self.max_delay - delay for delay in self._group_delays())


@dataclass(frozen=True, kw_only=True)
class CoarseFirst(Pattern):
    """The whole first codebook, then the others together.

    Args:
        delays: K - 1 shifts of the others in frames; None for 0.
    """

    name: ClassVar[str] = "coarse_first"
    delays: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = self.num_codebooks - 1
        delays = [0] * fine if self.delays is None else _whole("delays", self.delays)
        if len(delays) != fine or min(delays, default=0) < 0:
            raise ValueError(
                f"coarse_first delays every codebook but the first: expected {fine} delays of at "
                f"least 0, got {list(delays)}"
            )
        object.__setattr__(self, "delays", delays)

    def _delays(self) -> Sequence[int]:
        return self.delays or ()

    def _steps(self, num_frames: int) -> Tensor:
        starts = [1, *(1 + num_frames + delay for delay in self._delays())]
        return torch.tensor(starts)[:, None] + torch.arange(num_frames)

    def _count(self, num_frames: int) -> int:
        fine = num_frames + self.max_delay if self.num_codebooks > 1 else 0
        return 1 + num_frames + fine


@dataclass(frozen=True, kw_only=True)
class MusicLM(Pattern):
    """Groups of codebooks one after the other, each unrolled to a code per step.

    Args:
        group_by: codebooks of a group; the last group holds what is left.
    """

    name: ClassVar[str] = "musiclm"
    group_by: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("group_by", self.group_by, least=1)

    def _delays(self) -> Sequence[int]:
        return ()

    def _steps(self, num_frames: int) -> Tensor:
        codebooks = torch.arange(self.num_codebooks)[:, None]
        first = codebooks - codebooks % self.group_by
        size = (self.num_codebooks - first).clamp(max=self.group_by)
        return 1 + first * num_frames + torch.arange(num_frames) * size + codebooks - first

    def _count(self, num_frames: int) -> int:
        return 1 + self.num_codebooks * num_frames


def check_delays(delays: Sequence[int], num_codebooks: int) -> None:
    """Refuse delays that do not fit ``num_codebooks`` codebooks.

    Raises:
        ValueError: if there is not exactly one delay per codebook, or one is negative.
    """
    if len(delays) != num_codebooks or num_codebooks < 1:
        raise ValueError(
            f"expected one delay per codebook: {num_codebooks} codebooks, "
            f"delays has {len(delays)} entries: {list(delays)}"
        )
    if min(delays) < 0:
        raise ValueError(f"delays are shifts to the right and cannot be negative: {list(delays)}")


def _whole(name: str, values: Sequence[int]) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} must be a list of whole numbers, got {values!r}")
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        raise ValueError(f"{name} must be whole numbers, got {list(values)}")
    return list(values)


def _check_count(name: str, value: int, *, least: int = 0) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _check_groups(flattening: Sequence[int], delays: Sequence[int]) -> None:
    """Refuse groups that do not cover the codebooks, skip a number or differ in their delays."""
    if len(flattening) != len(delays):
        raise ValueError(
            f"expected one group per codebook: {len(delays)} codebooks, "
            f"flattening has {len(flattening)} entries: {list(flattening)}"
        )
    if sorted(set(flattening)) != list(range(len(set(flattening)))):
        raise ValueError(
            f"flattening numbers the groups 0, 1, ... without a gap, got {list(flattening)}"
        )
    if len(set(zip(flattening, delays, strict=True))) != len(set(flattening)):
        raise ValueError(
            f"codebooks of one group share a step, so they need the same delay: got flattening "
            f"{list(flattening)} with delays {list(delays)}"
        )
