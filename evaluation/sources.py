"""What the caller hands in, before anything of it is read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where pairs are read from, and what is known of them."""

    reference: Path  # folder; it defines the set that is scored
    generated: Path  # folder of sounds of the same names
    captions: Path | None = None  # .csv or .jsonl
    labels: Path | None = None  # .csv or .jsonl
    round_trips: Path | None = None  # folder of the references after a codec
    allow_extra: bool = False  # leave out generated sounds that have no reference
    name: str | None = None  # of the system that made them; None is that of their folder

    def __post_init__(self) -> None:
        if self.name is not None and not (self.name.strip() and self.name.isprintable()):
            raise ValueError(f"name must be text on one line, got {self.name!r}")
