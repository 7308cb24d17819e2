"""An evaluation from its inputs to its numbers: features first, then all scores from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.features.cache import FeatureCache
from evaluation.features.extract import Extraction, extract
from evaluation.features.front import GENERATED, FrontEnd, Job
from evaluation.features.networks import Networks
from evaluation.features.pairs import PairFeatures
from evaluation.features.shelf import NetworkShelf
from evaluation.folders import shorten
from evaluation.inputs import Inputs
from evaluation.preparation.pair import Item
from evaluation.protocols.card import ProtocolCard
from evaluation.reports.breakdown import break_down
from evaluation.sanity.battery import Battery, find_flags, too_few
from evaluation.scorers.everything import Scorers, too_short
from evaluation.scorers.score import Score
from evaluation.settings import Settings

UNEVEN = 0.1  # seconds by which a pair may differ in length without a warning


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """The numbers of a report, and what must be said about them."""

    scores: dict[str, Score]  # by metric key
    warnings: list[str]
    items: list[dict[str, Any]]  # one per pair
    features: dict[str, dict[str, Any]]  # name on the card -> facts
    classes: dict[str, dict[str, Score]]
    breakdown: dict[str, dict[str, dict[str, Score]]]
    sanity: dict[str, dict[str, float | None]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    battery: dict[str, Any] | None = None  # what the sanity table was made of


class Evaluation:
    """Some metrics of a card at work on some pairs."""

    def __init__(
        self,
        card: ProtocolCard,
        keys: Sequence[str],
        inputs: Inputs,
        settings: Settings,
        *,
        shelf: NetworkShelf | None = None,
    ) -> None:
        """Build scorers and networks.

        Args:
            card: the protocol.
            keys: metrics of it, all of which can be computed.
            inputs: the pairs.
            settings: how it is carried out.
            shelf: networks of earlier evaluations; None builds all of them.

        Raises:
            ValueError: for options that do not fit, or weights that are not the network's.
        """
        self.card = card
        self.inputs = inputs
        self.settings = settings
        self.scorers = Scorers(card, keys)
        self.cache = None if settings.cache is None else FeatureCache(settings.cache)
        self.networks = Networks(card, self.scorers.features, settings, shelf=shelf)
        self.battery = Battery.plan(card, keys, inputs) if settings.sanity else None

    def run(self) -> Findings:
        """Score the pairs.

        Raises:
            ValueError: for sounds that cannot be scored.
        """
        inputs, battery = self.inputs, self.battery
        jobs = battery.jobs(inputs) if battery else [Job(pair=pair) for pair in inputs.pairs]
        intakes = self.networks.intakes(self.cache)
        measures = bool(self.scorers.on_pairs)
        found = extract(
            FrontEnd(jobs, card=self.card, intakes=intakes, measures=measures),
            measure=self._measure,
            cache=self.cache,
            settings=self.settings,
        )
        texts = self.scorers.with_text
        features = self.networks.pair_features(inputs, found, texts, self.cache)
        return self._findings(features, found)

    def _measure(self, side: str, item: Item) -> Mapping[str, float]:
        if self.battery is not None:
            self.battery.measure(side, item)
        return self.scorers.measure(item) if side == GENERATED else {}

    def _findings(self, features: Mapping[str, PairFeatures], found: Extraction) -> Findings:
        scores, notes, values = self.scorers.score(features)
        items = _items(self.inputs, found, values)
        labels = [item["class"] for item in items if "class" in item]
        battery = self.battery
        sanity = battery.table(self.scorers, features, found) if battery else {}
        warnings = [
            *self.networks.warnings(),
            *self.inputs.beside_the_card(self.card),
            *self.settings.idle(self.card),
            *(too_few(len(items)) if self.settings.sanity else []),
            *_lengths(self.inputs, found, match=self.card.length == "match"),
            *too_short(features),
            *found.warnings,
            *notes,
        ]
        return Findings(
            scores=scores,
            warnings=warnings,
            items=items,
            features={name: dict(own.network) for name, own in features.items()},
            classes=self.scorers.score_classes(features, labels) if labels else {},
            breakdown=break_down(items, scores, self.card.bootstrap),
            sanity=sanity,
            flags=find_flags(
                sanity,
                titles={key: each.label for key, each in scores.items()},
                pairs=len(battery.chosen) if battery else 0,
            ),
            battery=battery.describe(found) if battery else None,
        )


def _items(
    inputs: Inputs, found: Extraction, values: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Return the report's line of every pair."""
    items = []
    for index, pair in enumerate(inputs.pairs):
        prepared = found.prepared[index]
        item: dict[str, Any] = {
            "name": pair.name,
            "captions": list((inputs.captions or {}).get(pair.name, ())),
            "reference_sha256": prepared.reference_sha256,
            "generated_sha256": prepared.generated_sha256,
            "values": {**values.get(pair.name, {}), **found.values[index]},
            "features": prepared.keys,  # name on the card, side -> entry of the cache
        }
        if inputs.labels is not None:
            item["class"] = inputs.labels[pair.name]
        items.append(item)
    return items


def _lengths(inputs: Inputs, found: Extraction, *, match: bool) -> list[str]:
    """Warn of generated sounds of another length than their references."""
    total = len(inputs.pairs)
    both = list(zip(inputs.pairs, found.prepared, strict=True))
    shorter = [pair.name for pair, prepared in both if prepared.shorter > UNEVEN]
    least = 0 if match else UNEVEN
    longer = {pair.name: prepared.cut for pair, prepared in both if prepared.cut > least}
    checks = {
        f"{len(shorter)} of {total} generated sounds are more than {UNEVEN} s shorter than "
        f"their reference: {shorten(shorter)}": shorter,
        f"{len(longer)} of {total} generated sounds are longer than their reference, by "
        f"{max(longer.values(), default=0):.4f} s at most, and were cut: "
        f"{shorten(longer)}": longer,
    }
    return [text for text, names in checks.items() if names]
