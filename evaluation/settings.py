"""How an evaluation is carried out: nothing here is meant to change a number beyond rounding."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.choose import Means
from evaluation.protocols.card import ProtocolCard

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
    dtype: str | None = None  # of their work, see `applied_to`; None is what the card says
    sanity: bool = True  # whether the battery is run
    progress: bool = False  # whether stderr says how far it is

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, got {self.workers}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.dtype not in (None, *DTYPES):
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")

    def applied_to(self, card: ProtocolCard) -> ProtocolCard:
        """Return the card that is scored by: its networks work in the dtype that was asked for.

        That moves their scores, so the card is another one, and is called so. Features that have
        no weights know no other dtype.
        """
        for name, entry in card.features.items() if self.dtype is not None else ():
            if entry["weights"] is not None and entry["dtype"] != self.dtype:
                card = card.changed(f"features.{name}.dtype", self.dtype)
        return card

    def idle(self, card: ProtocolCard) -> list[str]:
        """Say which of these change nothing, for no network of the card takes weights."""
        if any(entry["weights"] is not None for entry in card.features.values()):
            return []
        given = {
            "random weights were": self.random_weights,
            "a folder of weights was": self.weights,
        }
        return [
            f"{what} asked for, and no network of protocol {card.name} takes weights: the scores "
            "are the same without"
            for what, value in given.items()
            if value
        ]

    def means(self, *, has_captions: bool) -> Means:
        """Return what decides which metrics can be computed."""
        return Means(
            weights=self.weights, random_weights=self.random_weights, has_captions=has_captions
        )
