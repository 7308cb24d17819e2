"""What to do when the memory of a device is not enough, said in the error."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

SAID = (
    *("out of memory", "not enough memory", "can't allocate memory", "alloc_failed"),
    "storage size calculation overflowed",
)


class TooLittleMemoryError(MemoryError):
    """A sound does not fit into memory as it was asked for; the text names the cheapest way out.

    Args:
        advice: what to do.
        reason: what the device said.
    """

    def __init__(self, advice: str, *, reason: str) -> None:
        super().__init__(f"not enough memory: {advice} ({reason})")
        self.advice = advice


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What decides how much memory generating takes, as far as a caller can change it."""

    rows: int  # sounds computed at once
    guided: bool  # each of them with its caption and without
    two_step: bool  # one after the other
    weight: torch.dtype  # of the language model's weights
    window: int  # frames it reads at once

    def advice(self) -> str:
        """Return what costs least to need less."""
        if self.rows > 1:
            return f"{self.rows} sounds were made at once: take a smaller batch_size"
        if self.guided and not self.two_step:
            return "take two_step=True, which computes half the rows at once and changes no sound"
        if self.weight == torch.float32:
            return 'load the model with dtype=torch.bfloat16, or on a CPU with lm_fast="near"'
        if self.window > 1:
            return "lower model.max_duration: shorter windows need less, and remember less"
        return "take a smaller model, or another device"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on an accelerator or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in SAID)


def too_little(error: BaseException, need: Need) -> TooLittleMemoryError:
    """Return the error that says what to do about ``error``."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return TooLittleMemoryError(need.advice(), reason=reason)


@contextmanager
def memory_explained(need: Need) -> Iterator[None]:
    """Turn running out of memory into a `TooLittleMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, TooLittleMemoryError) or not is_out_of_memory(error):
            raise
        raise too_little(error, need) from error
