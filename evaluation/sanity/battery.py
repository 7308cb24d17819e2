"""The sanity battery: what the same metrics say of sounds whose rank everybody knows.

Silence and white noise stand in for the generated sounds, other references do, the sounds of other
captions, and the references' own round trips through a codec where there are any. All are scored
under the same card against the same references, at one number of clips, for most scores depend on
it. A metric that ranks silence or noise above the system deserves no belief on these data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.catalog import METRICS, MetricInfo
from evaluation.features.extract import Extraction
from evaluation.features.front import GENERATED, ROUND_TRIP, Job
from evaluation.features.pairs import PairFeatures
from evaluation.inputs import Inputs
from evaluation.preparation.pair import Item
from evaluation.protocols.card import Bootstrap, ProtocolCard
from evaluation.sanity.made_sounds import MAKERS, NOISE, SILENCE
from evaluation.scorers.base import select
from evaluation.scorers.everything import Scorers

SYSTEM, HALVES, SHUFFLED = "scored sounds", "other references", "shuffled captions"
MOST_PAIRS = 100  # that are scored again; enough to tell silence from sound
FEWEST_PAIRS = 2
FEWEST_FOR_FLAGS = 8  # pairs; of fewer, chance alone ranks silence
SAME = 1e-3  # relative; two numbers that are nearer are told apart by rounding alone
PAIRED = ("kl", "cosine_text", "cosine_audio")  # kinds that ask which sound answers to which

Table = dict[str, dict[str, float | None]]  # system -> metric key -> value


@dataclass(frozen=True, kw_only=True, slots=True)
class Battery:
    """Which pairs the battery is made of, and the metrics on waveforms at work on them."""

    seed: int
    total: int  # pairs of the evaluation
    chosen: list[int]  # numbers of the pairs scored again
    names: frozenset[str]  # of these
    others: list[int]  # as many others, whose references stand in for generated sounds
    scorers: Mapping[str, Scorers]  # system -> metrics on waveforms

    @classmethod
    def plan(cls, card: ProtocolCard, keys: Sequence[str], inputs: Inputs) -> "Battery | None":
        """Draw the pairs; None if there are too few for two sets, or no metric ranks sounds."""
        total = len(inputs.pairs)
        size = min(MOST_PAIRS, total // 2)
        ranked = [key for key in keys if _is_ranked(METRICS[key])]
        if size < FEWEST_PAIRS or not ranked:
            return None
        order = np.random.default_rng(card.bootstrap.seed).permutation(total).tolist()
        systems = [*MAKERS, *([ROUND_TRIP] if inputs.round_trips else [])]
        on_pairs = [key for key in ranked if METRICS[key].kind is None]
        chosen = sorted(order[:size])
        return cls(
            seed=card.bootstrap.seed,
            total=total,
            chosen=chosen,
            names=frozenset(inputs.pairs[index].name for index in chosen),
            others=sorted(order[size : 2 * size]),
            scorers={system: Scorers(card, on_pairs) for system in (SYSTEM, *systems)},
        )

    def jobs(self, inputs: Inputs) -> list[Job]:
        """Return the pairs, the chosen ones with what else is held against their references."""
        chosen = set(self.chosen)
        return [
            Job(pair=pair, made=tuple(MAKERS), round_trip=inputs.round_trips.get(pair.name))
            if index in chosen
            else Job(pair=pair)
            for index, pair in enumerate(inputs.pairs)
        ]

    def measure(self, side: str, item: Item) -> None:
        """Take what stands in for a generated sound, or one of the chosen ones itself."""
        if item.name in self.names:
            self.scorers[SYSTEM if side == GENERATED else side].measure(item)

    def table(
        self, scorers: Scorers, features: Mapping[str, PairFeatures], found: Extraction
    ) -> Table:
        """Score all systems; None where there is no value."""
        table: Table = {}
        for system, own in self.scorers.items():
            if system in found.failed:
                continue
            row = table.setdefault(system, {})
            for key, measured in own.on_pairs.items():
                row[key] = _finite(measured.score(_QUICK)[0].value)
        for key, scorer in scorers.on_features.items():
            if not _is_ranked(METRICS[key]):
                continue
            for system, sub in self._systems(scorer.features, scorer.kind, features, found):
                table.setdefault(system, {})[key] = _finite(scorer.value(sub)[0])
        return {system: table[system] for system in _ORDER if system in table}

    def _systems(
        self, name: str, kind: str, features: Mapping[str, PairFeatures], found: Extraction
    ) -> list[tuple[str, PairFeatures]]:
        """Return what is scored by a metric: system and its features."""
        whole = features[name]
        own, other = select(whole, self.chosen), select(whole, self.others)
        systems = [(SYSTEM, own)]
        for system in (SILENCE, NOISE, ROUND_TRIP):
            if (system, name) in found.rows and system not in found.failed:
                clips = [found.rows[system, name][index] for index in self.chosen]
                made = {output: [clip[output] for clip in clips] for output in whole.generated}
                systems.append((system, replace(own, generated=made)))
        halves = replace(other, reference=own.reference, generated=other.stand_ins)
        systems.append((HALVES, halves))
        if kind in PAIRED:
            order = self._derangement()
            systems.append((SHUFFLED, replace(own, generated=select(own, order).generated)))
        return systems

    def _derangement(self) -> list[int]:
        """Return an order in which no clip is where it was: each takes the next one's place."""
        circle = np.random.default_rng(self.seed).permutation(len(self.chosen))
        order = np.empty_like(circle)
        order[circle] = np.roll(circle, 1)
        return order.tolist()

    def describe(self, found: Extraction) -> dict[str, Any]:
        """Say for the report what the table was made of."""
        facts = {
            "pairs": len(self.chosen),
            "of": self.total,
            "seed": self.seed,
            "failed": dict(found.failed),
        }
        few = f"{len(self.chosen)} pairs are too few for flags, which take {FEWEST_FOR_FLAGS}"
        return facts | ({"no_flags": few} if len(self.chosen) < FEWEST_FOR_FLAGS else {})


def too_few(pairs: int) -> list[str]:
    """Warn of a set without a battery, because it has too few pairs for one."""
    if pairs >= 2 * FEWEST_PAIRS:
        return []
    return [f"no sanity battery: it needs {2 * FEWEST_PAIRS} pairs, got {pairs}"]


def find_flags(table: Table, *, titles: Mapping[str, str], pairs: int) -> list[str]:
    """Say which metrics rank nothing above the system or on a par, and where it is below chance.

    Args:
        table: of the battery.
        titles: metric key -> what a person reads.
        pairs: how many the battery was scored on; fewer than `FEWEST_FOR_FLAGS` raise no flag.
    """
    if pairs < FEWEST_FOR_FLAGS:
        return []
    flags = []
    own = table.get(SYSTEM, {})
    for system in (SILENCE, NOISE, SHUFFLED):
        for key, value in table.get(system, {}).items():
            mine = own.get(key)
            if value is None or mine is None:
                continue
            verdict = _verdict(titles.get(key, METRICS[key].label), system, key, value, mine)
            if verdict is not None:
                other = "of other captions" if system == SHUFFLED else system
                numbers = f"{other} {value:.4g}, scored sounds {mine:.4g} (on {pairs} pairs)"
                flags.append(f"{verdict}: {numbers}")
    return flags


def _verdict(what: str, system: str, key: str, value: float, mine: float) -> str | None:
    """Say what is wrong where a system is as good as the scored sounds, or better."""
    if math.isclose(value, mine, rel_tol=SAME):
        other = "sounds of other captions" if system == SHUFFLED else system
        return f"{what} cannot tell {other} from the scored sounds"
    if not _better(key, value, mine):
        return None
    if system == SHUFFLED:
        return f"{what}: the scored sounds are worse than those of other captions"
    return f"{what} ranks {system} above the scored sounds"


def _better(key: str, value: float, than: float) -> bool:
    return value < than if METRICS[key].best == "low" else value > than


def _is_ranked(info: MetricInfo) -> bool:
    """Tell whether a metric belongs here: one that ranks sounds, and is not slow.

    A limit of sounds without end is not to be relied on at the number of clips of a battery.
    """
    limit = info.kind == "frechet_infinity"
    return info.best != "zero" and info.package is None and not limit


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


_ORDER = (SYSTEM, SILENCE, NOISE, HALVES, SHUFFLED, ROUND_TRIP)
_QUICK = Bootstrap(resamples=2, confidence=0.5, seed=0)  # nobody reads these intervals
