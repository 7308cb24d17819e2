"""Codes to learn from, mixed with codes of what is not to be forgotten."""

from pathlib import Path
from typing import Any

import torch

from audiogen.data.tokens import TokenDataset
from audiogen.rng import derive_seed, item_generator


class RehearsedTokens(TokenDataset):
    """A `TokenDataset`, a share of whose items are of another folder of the same codec.

    Which items is a pure function of (seed, i), as is all else of item ``i``. An epoch stays as
    long as the folder's own.

    Args:
        folder: of `TokenDataset`, as is all of ``how``.
        known: the other folder, of which the training split is read; None for none.
        share: of the items, in [0, 1), that are of ``known``.
        how: of `TokenDataset`.

    Raises:
        TokenError: as `TokenDataset` does; or if the other folder's segments are shorter.
    """

    def __init__(
        self, folder: str | Path, *, known: str | Path | None = None, share: float = 0.0, **how: Any
    ) -> None:
        super().__init__(folder, **how)
        if not 0 <= share < 1:
            raise ValueError(f"share of rehearsed items must be in [0, 1), got {share}")
        if share > 0 and known is None:
            raise ValueError(
                f"a share of {share:g} is to be rehearsed, and of what is not said: set "
                "data.train.known to a folder of codes, or data.train.share=0"
            )
        self.share = share if known is not None else 0.0
        self.known: TokenDataset | None = None
        if known is not None and share > 0:
            self.known = TokenDataset(known, **how | self._like())

    def _like(self) -> dict[str, Any]:
        """Arguments that make items of the other folder as ours are."""
        return {
            "codec_hash": self.header["codec_hash"],
            "num_codebooks": self.num_codebooks,
            "crop_frames": self.num_frames,
            "num_samples": None,
        }

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.known is None:
            return super().__getitem__(index)
        generator = item_generator(seed=derive_seed(self.seed, "rehearse"), item=index)
        if torch.rand((), generator=generator) >= self.share:
            return super().__getitem__(index)
        return self.known[index]
