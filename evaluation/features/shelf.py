"""Networks by what they are built of, so that one which is there already is not built again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.embedders import FeatureNetwork
from evaluation.embedders.registry import build_network
from evaluation.settings import Settings
from evaluation.weights.files import weights_path

NOT_OPTIONS = ("network", "weights", "input", "dtype")  # what a card says beside them


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a network is built of: two of one recipe are the same network."""

    network: str  # key of `MODULES`
    weights: Path | None  # file or folder; None is a stand-in, or a network without any
    device: str
    dtype: str
    options: Mapping[str, Any]  # what the card says of the network itself

    @classmethod
    def of(cls, entry: Mapping[str, Any], settings: Settings) -> "Recipe":
        """Return the recipe of some features on a card; their `input` is no part of it."""
        file = None if settings.random_weights else entry["weights"]
        return cls(
            network=entry["network"],
            weights=None if file is None else weights_path(file, settings.weights),
            device=settings.device,
            dtype=entry["dtype"],
            options={key: value for key, value in entry.items() if key not in NOT_OPTIONS},
        )

    def build(self) -> FeatureNetwork:
        """Build the network; see `build_network`."""
        return build_network(
            self.network,
            weights=self.weights,
            device=self.device,
            dtype=self.dtype,
            options=self.options,
        )


class NetworkShelf:
    """The networks of one evaluation after the other.

    Networks are large, so there is one per features of a card, the last that was asked for. Where
    evaluations go away from a common start and come back to it, each has a shelf over that of the
    start: what it builds for itself goes with it.
    """

    def __init__(self, below: "NetworkShelf | None" = None) -> None:
        """Take the shelf whose networks are used where they fit, and never replaced."""
        self.below = below
        self.networks: dict[str, tuple[Recipe, FeatureNetwork]] = {}

    def take(self, name: str, recipe: Recipe) -> FeatureNetwork:
        """Return the network of a recipe, built if it is not there.

        Args:
            name: of the features on the card.
            recipe: what they ask for.

        Raises:
            ValueError: for a file that is not the network's weights, or an option it has not.
        """
        found = self._find(recipe)
        if found is None:
            self.networks.pop(name, None)  # before the next one needs room
            found = recipe.build()
        self.networks[name] = recipe, found
        return found

    def _find(self, recipe: Recipe) -> FeatureNetwork | None:
        own = (network for known, network in self.networks.values() if known == recipe)
        found = next(own, None)
        return self.below._find(recipe) if found is None and self.below is not None else found
