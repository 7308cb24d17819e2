"""Overlay pairs of sounds and join their captions: the augmentation of AudioGen v1.

Both sounds are brought to a signal-to-noise ratio, the second begins somewhere within the first,
and the result comes to a random level. By default every item draws for itself, so that a batch
holds mixtures and plain sounds, keeps its size, and no item meets itself. The reference is wrong in
these points, in which ``paper_exact`` follows it:

* it draws once per batch: all items are mixed or none, at one ratio, start and level;
* it keeps only a share of every batch, mixed or not, and fails where that is no item;
* an item may meet itself, an echo under the caption of one sound;
* ratio and level are whole numbers of decibels, whose upper bounds never come up;
* levels are measured over the zeros behind a short sound too, and the second sound may begin behind
  the end of the first;
* its guard against clipping looks at the largest sample, not at the largest magnitude: where the
  negative peak is the larger one, the mixture still clips;
* it raises faint noise to full level as if it were sound; here a sound that is silent is not mixed;
* it fails on a sound without a caption; here the other's caption is that of both, also under
  ``paper_exact``.

Source: AudioGen (arXiv:2209.15352), section 3.3, and the published training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiogen.audio import SILENCE
from audiogen.data.overlay import join_captions, mix, mix_as_published
from audiogen.rng import derive_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixing:
    """How batches are mixed; see the module for what ``paper_exact`` changes.

    Args:
        probability: share of the items that become mixtures; with ``paper_exact`` of the batches.
        snr_db: least and greatest ratio of the first sound to the second, in dB.
        level_db: least and greatest RMS level of a mixture, in dB of full scale; None keeps that of
            its first sound.
        min_overlap: share of the first sound that the second one covers at least, if it is as long.
        paper_exact: as published.
        keep: with ``paper_exact``, the share of a batch that remains: load more items accordingly.

    Raises:
        ValueError: if a value is out of range.
    """

    probability: float = 0.5
    snr_db: Sequence[float] = (-5.0, 5.0)
    level_db: Sequence[float] | None = (-35.0, -15.0)
    min_overlap: float = 0.5
    paper_exact: bool = False
    keep: float = 0.5

    def __post_init__(self) -> None:
        for name in ("probability", "min_overlap", "keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("snr_db", "level_db"):
            span = getattr(self, name)
            if span is None and name == "level_db" and not self.paper_exact:
                continue
            if span is None or len(span) != 2 or not -200 < span[0] <= span[1] < 200:
                raise ValueError(f"{name} must be the least and the greatest dB, got {span}")

    def __call__(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Any]:
        """Mix a batch.

        Args:
            batch: "waveform" float [B, C, T], zero behind "num_samples" int64 [B]; "captions", B
                strings, mappings or None; whatever else has B entries follows the first sound.
            generator: on the CPU; see `mixing_generator`.

        Returns:
            A new batch of B items, or with ``paper_exact`` of int(keep * B).

        Raises:
            ValueError: with ``paper_exact``, if none is left or there are several channels.
        """
        if self.paper_exact:
            return self._mixed_as_published(batch, generator)
        count = len(batch["waveform"])
        mixed = torch.rand(count, generator=generator) < self.probability
        partners = other_items(count, generator)
        snr, level = (_uniform(span, count, generator) for span in (self.snr_db, self.level_db))
        place = torch.rand(count, generator=generator) * (1 - self.min_overlap)
        result = _chosen(batch, list(range(count)))
        for item, partner in enumerate(partners):
            first, second = (_sound(batch, number) for number in (item, partner))
            if not mixed[item] or item == partner or _silent(first) or _silent(second):
                continue
            sound = mix(
                first,
                second,
                snr_db=snr[item].item(),
                start=int(place[item] * first.shape[1]),
                level_db=None if self.level_db is None else level[item].item(),
                max_samples=batch["waveform"].shape[-1],
            )
            if _silent(sound):  # they were each other's opposite
                continue
            result["waveform"][item, :, : sound.shape[1]] = sound
            result["num_samples"][item] = sound.shape[1]
            captions = (batch["captions"][number] for number in (item, partner))
            result["captions"][item] = join_captions(*captions)
        return result

    def _mixed_as_published(
        self, batch: Mapping[str, Any], generator: torch.Generator
    ) -> dict[str, Any]:
        if self.keep == 0:
            return dict(batch)
        count, channels, samples = batch["waveform"].shape
        kept = int(self.keep * count)
        if kept == 0 or channels != 1:
            raise ValueError(
                f"keep={self.keep} of a batch of {count} leaves {kept} items, and only one channel "
                f"can be mixed as published, got {channels}: use larger batches, or "
                "paper_exact=false"
            )
        mixed = torch.rand((), generator=generator) < self.probability
        first = torch.randperm(count, generator=generator)[:kept]
        result = _chosen(batch, first.tolist())
        if not mixed:
            return result
        second = torch.randperm(count, generator=generator)[:kept]
        snr = _whole(self.snr_db, generator)
        start = _whole((0, int(samples * (1 - self.min_overlap)) + 1), generator)
        level = _whole(self.level_db or (0, 0), generator)
        rows = batch["waveform"][:, 0]
        sounds = mix_as_published(
            rows[first], rows[second], snr_db=snr, start=start, level_db=level
        )
        captions = [
            join_captions(*(batch["captions"][n] for n in pair))
            for pair in zip(first.tolist(), second.tolist(), strict=True)
        ]
        return result | {"waveform": sounds[:, None], "captions": captions}


def other_items(count: int, generator: torch.Generator) -> list[int]:
    """For every item another one, each being chosen once; a single item has only itself."""
    circle = torch.randperm(count, generator=generator)
    partners = torch.empty_like(circle)
    partners[circle] = circle.roll(-1)
    return [int(partner) for partner in partners]


def mixing_generator(seed: int, first: int) -> torch.Generator:
    """Return the generator of a batch, by the number of its first item.

    That number is of one rank, epoch and batch only, whoever collates it, and after a restart.
    """
    return torch.Generator().manual_seed(derive_seed(seed, "mixing", first))


def _sound(batch: Mapping[str, Any], item: int) -> Tensor:
    return batch["waveform"][item, :, : batch["num_samples"][item]]


def _silent(sound: Tensor) -> bool:
    return not sound.numel() or sound.abs().max().item() <= SILENCE


def _chosen(batch: Mapping[str, Any], items: list[int]) -> dict[str, Any]:
    """Copy some items of a batch."""
    return {
        name: values[items] if isinstance(values, Tensor) else [values[item] for item in items]
        for name, values in batch.items()
    }


def _uniform(span: Sequence[float] | None, count: int, generator: torch.Generator) -> Tensor:
    low, high = span or (0.0, 0.0)
    return low + (high - low) * torch.rand(count, generator=generator)


def _whole(span: Sequence[float], generator: torch.Generator) -> int:
    """A whole number from the first bound up to below the second; the first if they are one."""
    low, high = int(span[0]), int(span[1])
    return int(torch.randint(low, max(high, low + 1), (), generator=generator))
