"""The networks of a card: built, described for reports and keys, and asked about captions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders import FeatureNetwork
from evaluation.features.cache import DamagedError, FeatureCache, entry_key
from evaluation.features.extract import Extraction
from evaluation.features.front import AS_GENERATED, GENERATED, REFERENCE
from evaluation.features.front_part import VERSION, Intake
from evaluation.features.lane import Notes
from evaluation.features.pairs import PairFeatures
from evaluation.features.shelf import NetworkShelf, Recipe
from evaluation.inputs import Inputs
from evaluation.progress import timed
from evaluation.protocols.card import ProtocolCard
from evaluation.settings import Settings

CAPTIONS = 32  # that a text tower takes at once


class Networks:
    """The networks that some features of a card come from."""

    def __init__(
        self,
        card: ProtocolCard,
        names: Iterable[str],
        settings: Settings,
        *,
        shelf: NetworkShelf | None = None,
    ) -> None:
        """Build them, or take those that are built.

        Args:
            card: the protocol.
            names: of the features on the card.
            settings: where weights are, and where networks run.
            shelf: networks that may be here already.

        Raises:
            ValueError: for a file that is not a network's weights, an option of the card that the
                network does not take, or a device that is not here.
        """
        check_device(settings.device)
        self.card = card
        self.progress = settings.progress
        self.notes = Notes()
        self.built: dict[str, FeatureNetwork] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        shelf = shelf or NetworkShelf()
        for name in dict.fromkeys(names):
            entry = card.features[name]
            recipe = Recipe.of(entry, settings)
            try:
                with timed(f"{name}: network loaded", show=settings.progress):
                    network = self.built[name] = shelf.take(name, recipe)
            except ValueError as error:
                raise ValueError(f"protocol {card.name}, features {name}: {error}") from error
            self.facts[name] = {
                "network": network.name,
                "version": network.version,
                "weights": None if recipe.weights is None else entry["weights"],
                "weights_sha256": network.weights_sha256,
                "stand_in": entry["weights"] is not None and network.weights_sha256 is None,
                "dtype": recipe.dtype,
                "device": torch.device(settings.device).type,
                "outputs": dict(network.outputs),
                "sample_rate": network.sample_rate,
                "options": dict(recipe.options),
            }

    def intakes(self, cache: FeatureCache | None) -> list[Intake]:
        """Return the ways into all networks."""
        intakes = []
        for name, network in self.built.items():
            steps = self.card.input_steps(name)
            identity = {"input": steps.identity(), "network": self._described(name)}
            intakes.append(
                Intake(name=name, network=network, steps=steps, identity=identity, cache=cache)
            )
        return intakes

    def pair_features(
        self,
        inputs: Inputs,
        found: Extraction,
        with_text: Collection[str],
        cache: FeatureCache | None,
    ) -> dict[str, PairFeatures]:
        """Return what was found by all networks, as scores take it.

        Args:
            inputs: the pairs.
            found: their sounds' features.
            with_text: names of the features of which the captions are needed too.
            cache: where these are kept.
        """
        captions = inputs.scored_captions(self.card)
        features = {}
        for name, network in self.built.items():
            sides = {
                side: {
                    output: [found.rows[side, name][i][output] for i in range(len(inputs.pairs))]
                    for output in network.outputs
                }
                for side in (REFERENCE, GENERATED)
            }
            first = next(iter(network.outputs))
            windows = {side: sum(map(len, clips[first])) for side, clips in sides.items()}
            features[name] = PairFeatures(
                names=[pair.name for pair in inputs.pairs],
                reference=sides[REFERENCE],
                generated=sides[GENERATED],
                captions=captions,
                text=self._text(name, captions, cache) if name in with_text else None,
                network=self.facts[name] | {"windows": windows},
                as_generated=self._as_generated(name, found, len(inputs.pairs)),
            )
        return features

    def _as_generated(
        self, name: str, found: Extraction, count: int
    ) -> dict[str, list[Tensor]] | None:
        """Return the references in the place of generated sounds; without windows if one failed."""
        if not self.card.generated:
            return None
        rows = {} if AS_GENERATED in found.failed else found.rows[AS_GENERATED, name]
        return {
            output: [rows[i][output] if rows else torch.empty(0, dim) for i in range(count)]
            for output, dim in self.built[name].outputs.items()
        }

    def warnings(self) -> list[str]:
        """Return what a reader of the scores must know."""
        names = [name for name, facts in self.facts.items() if facts["stand_in"]]
        stand_ins = [
            f"{', '.join(names)}: random weights in the place of pretrained ones; the scores made "
            "of them say nothing about the sounds"
        ]
        return (stand_ins if names else []) + self.notes.texts()

    def _text(
        self, name: str, captions: Sequence[tuple[str, ...]], cache: FeatureCache | None
    ) -> list[Tensor]:
        """Return the features of each clip's captions, float32 [captions, D] per clip."""
        unique = list(dict.fromkeys(caption for own in captions for caption in own))
        abouts = {
            caption: {"version": VERSION, "caption": caption, "network": self._described(name)}
            for caption in unique
        }
        known = {} if cache is None else self._known_text(cache, abouts)
        missing = [caption for caption in unique if caption not in known]
        with timed(f"{name}: features of {len(missing)} captions", show=self.progress):
            self._run_text(name, missing, known, abouts, cache)
        dim = next(iter(known.values())).shape[1] if known else 1
        return [
            torch.cat([known[caption] for caption in own] or [torch.empty(0, dim)])
            for own in captions
        ]

    def _run_text(
        self,
        name: str,
        missing: Sequence[str],
        known: dict[str, Tensor],
        abouts: Mapping[str, Mapping[str, Any]],
        cache: FeatureCache | None,
    ) -> None:
        """Add the features of captions that are not known yet."""
        network: Any = self.built[name]  # one with a text tower
        for start in range(0, len(missing), CAPTIONS):
            batch = missing[start : start + CAPTIONS]
            with torch.inference_mode():
                rows = network.text(batch).float().cpu()
            for caption, row in zip(batch, rows, strict=True):
                known[caption], about = row[None].clone(), abouts[caption]
                if cache is not None:
                    self.notes.keep(cache, entry_key(about), {"text": known[caption]}, about)

    def _known_text(
        self, cache: FeatureCache, abouts: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Tensor]:
        """Return the features that the cache has."""
        known = {}
        for caption, about in abouts.items():
            try:
                entry = cache.get(entry_key(about))
            except DamagedError as error:
                self.notes.damaged.append(str(error))
                continue
            if entry is not None:
                known[caption] = entry["text"]
        return known

    def _described(self, name: str) -> dict[str, Any]:
        """Return what identifies a network in a key."""
        facts = self.facts[name]
        fields = ("network", "version", "weights_sha256", "dtype", "device", "outputs", "options")
        return {field: facts[field] for field in fields}


def check_device(device: str) -> None:
    """Refuse a device that does not exist, or is not here.

    Raises:
        ValueError: with what to pass.
    """
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120]
        raise ValueError(f"no device {device!r} here ({reason}). Pass cpu, or cuda:0.") from error
    if kind == "meta":
        raise ValueError("device meta computes nothing. Pass cpu, or cuda:0.")
