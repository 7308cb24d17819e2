"""How an evaluation is carried out: nothing here is meant to change a number beyond rounding."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.choose import Means

CACHE_FOLDER = Path("~/.cache/audiogen/features")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the caller decides beside sounds and protocol."""

    weights: Path | None = None  # folder of pretrained weights; None is the default one
    random_weights: bool = False  # stand-ins in the place of pretrained networks
    cache: Path | None = None  # folder of features; None keeps none
    workers: int = 0  # processes that decode and prepare
    batch_size: int = 16  # windows that a network takes at once
    device: str = "cpu"  # where networks run
    dtype: str | None = None  # of their work; None is what the card says
    sanity: bool = True  # whether the battery is run
    progress: bool = False  # whether stderr says how far it is

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, got {self.workers}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.dtype not in (None, *DTYPES):
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")

    def means(self, *, has_captions: bool) -> Means:
        """Return what decides which metrics can be computed."""
        return Means(
            weights=self.weights, random_weights=self.random_weights, has_captions=has_captions
        )
