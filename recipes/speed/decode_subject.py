"""The model that is measured: random weights of a size, or a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import Tensor

from audiogen.checkpoint import load_model
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from recipes.speed.codec import make_codec
from recipes.speed.decode_ways import make_text
from recipes.speed.lm import make_lm

TEXT_POSITIONS = 16  # tokens of a caption of usual length
CAPTIONS = ("a dog barks", "rain falls on a roof", "a high bell rings three times", "wind")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A language model, its codec, and captions for it."""

    lm: TokenLM
    codec: Codec
    text: Callable[[int], Tensor]  # how many -> float [B, L, D], projected

    @property
    def frame_rate(self) -> float:
        """Steps per second of sound."""
        return self.codec.frame_rate


def make_subject(size: str) -> Subject:
    """Draw weights of a size; captions are 16 random states."""
    lm = make_lm(size).eval()
    codec = make_codec(smoke=size == "smoke")
    return Subject(
        lm=lm,
        codec=codec,
        text=lambda batch: make_text(lm, batch=batch, positions=TEXT_POSITIONS),
    )


def load_subject(folder: Path) -> Subject:
    """Read a model folder; its captions are encoded, the shorter ones padded with zeros."""
    parts = load_model(folder)

    @torch.no_grad()
    def text(batch: int) -> Tensor:
        states, mask = parts.text.encode(list(islice(cycle(CAPTIONS), batch)))
        return parts.lm.project_text(states, mask)

    return Subject(lm=parts.lm, codec=parts.codec, text=text)
