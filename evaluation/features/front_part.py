"""One sound as one network gets it: its windows, or its features where the cache has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from evaluation.embedders import FeatureNetwork
from evaluation.features.cache import DamagedError, FeatureCache, entry_key
from evaluation.preparation.sound import Sound
from evaluation.preparation.steps import Steps

VERSION = "1"  # of what is done to a sound on its way here; raise it when that changes a feature


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What is known of a sound: its windows, its features, or why there are neither."""

    side: str
    features: str  # name on the card
    file: Path  # the sound's, or that of the reference it was made for
    key: str = ""  # of its entry in the cache
    about: Mapping[str, Any] = field(default_factory=dict)  # what the key is made of
    windows: Tensor | None = None  # float32 [n, ...], to be run
    rows: dict[str, Tensor] | None = None  # output -> float32 [n, D], from the cache
    damaged: str | None = None  # the entry that could not be used
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """A network's way in: the card's steps before it, and its own front end."""

    name: str  # on the card
    network: FeatureNetwork
    steps: Steps
    identity: Mapping[str, Any]  # of steps and network, in a key
    cache: FeatureCache | None

    def part(self, side: str, sound: Sound, about: Mapping[str, Any], file: Path) -> Part:
        """Look a sound up, or cut it into windows.

        Args:
            side: whose it is.
            sound: all channels, at its own rate.
            about: what identifies the sound, and what was done to it so far.
            file: its own, for errors.
        """
        about = {"version": VERSION, **about, **self.identity}
        part = Part(side=side, features=self.name, file=file, key=entry_key(about), about=about)
        if self.cache is not None:
            try:
                rows = self.cache.get(part.key)
            except DamagedError as error:
                rows, part = None, replace(part, damaged=str(error))
            if rows is not None:
                return replace(part, rows=rows)
        try:
            return replace(part, windows=self.windows(sound))
        except ValueError as error:
            return replace(part, error=f"{file}: {error}")

    def windows(self, sound: Sound) -> Tensor:
        """Prepare a sound and cut it into the network's windows, float32 [n, ...].

        Raises:
            ValueError: if a step cannot be done, or the sound is too short for the network.
        """
        prepared = self.steps(sound)
        if prepared.sample_rate != self.network.sample_rate:
            raise ValueError(
                f"the protocol brings it to {prepared.sample_rate} Hz for {self.name}, whose "
                f"network takes {self.network.sample_rate} Hz: end `input` with `resample`"
            )
        channels = getattr(self.network, "channels", 1)
        return self.network.windows(prepared.of_channels(channels))
