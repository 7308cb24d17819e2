"""Datasets without files, for smoke tests: every item is a function of (seed, number)."""

from typing import Any

import torch
from torch.utils.data import Dataset

from audiogen.rng import item_generator


class RandomSounds(Dataset):
    """Decaying noise bursts: {"waveform": float32 [C, T], "mask": bool [T], "index": int}."""

    def __init__(
        self,
        *,
        num_items: int,
        sample_rate: int,
        segment_duration: float,
        seed: int,
        channels: int = 1,
    ) -> None:
        self.num_items = num_items
        self.shape = (channels, round(segment_duration * sample_rate))
        self.seed = seed

    def __len__(self) -> int:
        return self.num_items

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = item_generator(seed=self.seed, item=index)
        samples = self.shape[1]
        envelope = torch.exp(-torch.linspace(0, 5, samples) * torch.rand(1, generator=generator))
        noise = torch.randn(self.shape, generator=generator).clamp(-3, 3) / 6
        mask = torch.ones(samples, dtype=torch.bool)
        return {"waveform": noise * envelope, "mask": mask, "index": index}


class RandomTokens(Dataset):
    """Codes that follow from their caption, so that reading it pays.

    Items are {"codes": int64 [K, T], "frames": int, "caption": str, "index": int}: with four
    captions in turn, the codes of a caption stay inside its own quarter of the codebooks. With
    ``shortest``, items have so many frames and more, in no order.
    """

    captions = ("rain on a roof", "a dog barks", "a bell rings", "wind in the trees")

    def __init__(
        self,
        *,
        num_items: int,
        num_codebooks: int,
        codebook_size: int,
        num_frames: int,
        seed: int,
        frame_rate: float = 50.0,
        codec_hash: str = "0" * 64,
        shortest: int | None = None,
    ) -> None:
        if codebook_size < len(self.captions):
            raise ValueError(
                f"codebook_size must be at least {len(self.captions)}, got {codebook_size}"
            )
        self.num_items = num_items
        self.shape = (num_codebooks, num_frames)
        self.codebook_size = codebook_size
        self.seed = seed
        self.shortest = num_frames if shortest is None else shortest
        self.header = {
            "codec_hash": codec_hash,
            "segment_frames": num_frames,
            "frame_rate": frame_rate,
        }

    def __len__(self) -> int:
        return self.num_items

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = item_generator(seed=self.seed, item=index)
        kind = index % len(self.captions)
        width = self.codebook_size // len(self.captions)
        codes = kind * width + torch.randint(width, self.shape, generator=generator)
        longer = torch.randint(1 + self.shape[1] - self.shortest, (), generator=generator)
        return {
            "codes": codes,
            "frames": self.shortest + int(longer),
            "caption": self.captions[kind],
            "index": index,
        }
