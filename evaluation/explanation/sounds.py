"""The same sounds scored again and again, under cards that are not quite the same."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from evaluation.features.shelf import NetworkShelf
from evaluation.folders import Pair, pair_folders
from evaluation.protocols.card import ProtocolCard
from evaluation.reports.report import Report
from evaluation.settings import Settings
from evaluation.sources import Sources
from evaluation.suite import score_sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Sounds:
    """What is scored again and again, with what, and the networks that are there."""

    sources: Sources
    settings: Settings = field(default_factory=Settings)  # a battery is not looked at
    shelf: NetworkShelf = field(default_factory=NetworkShelf)

    def score(
        self, card: ProtocolCard, metrics: Sequence[str] | None, *, progress: bool = False
    ) -> Report:
        """Score under a card; see `evaluate`."""
        settings = replace(self.settings, sanity=False, progress=progress)
        return score_sources(self.sources, card, metrics, settings=settings, shelf=self.shelf)

    def cached(self, folder: Path) -> "Sounds":
        """Return them with a cache: their own, else a folder."""
        if self.settings.cache is not None:
            return self
        return replace(self, settings=replace(self.settings, cache=folder))

    def aside(self) -> "Sounds":
        """Return them with networks of their own beside those that are there."""
        return replace(self, shelf=NetworkShelf(self.shelf))


@contextmanager
def drawn_clips(sounds: Sounds, card: ProtocolCard, count: int | None) -> Iterator[Sounds]:
    """Give some of the pairs, drawn with the card's seed, as folders of links to them."""
    whole = sounds.sources
    pairs = pair_folders(whole.reference, whole.generated, allow_extra=whole.allow_extra)
    if count is None or count >= len(pairs):
        yield sounds
        return
    if count < 2:
        raise ValueError(f"expected two clips or more to score, got {count}")
    chosen = random.Random(card.bootstrap.seed).sample(pairs, count)  # a stream of its own
    with TemporaryDirectory() as folder:
        reference, generated = _link(chosen, Path(folder))
        part = replace(whole, reference=reference, generated=generated, allow_extra=False)
        yield replace(sounds, sources=part)


def _link(pairs: Sequence[Pair], folder: Path) -> tuple[Path, Path]:
    sides = folder / "reference", folder / "generated"
    for side, attribute in zip(sides, ("reference", "generated"), strict=True):
        side.mkdir()
        for pair in pairs:
            path = getattr(pair, attribute)
            (side / path.name).symlink_to(path.resolve())
    return sides


def score_each(
    sounds: Sounds, card: ProtocolCard, keys: Sequence[str]
) -> tuple[dict[str, Report], list[str]]:
    """Score all metrics at once, or one by one where some cannot be scored."""
    try:
        return dict.fromkeys(keys, sounds.score(card, keys)), []
    except (ValueError, ModuleNotFoundError) as error:
        if len(keys) == 1:
            return {}, [f"{keys[0]}: {error}"]
    found: dict[str, Report] = {}
    reasons = []
    for key in keys:
        own, why = score_each(sounds, card, [key])
        found |= own
        reasons += why
    return found, reasons


def quick_card(card: ProtocolCard) -> ProtocolCard:
    """Return a card with next to no resampling: only the values are looked at."""
    return card.changed("bootstrap.resamples", 2)
