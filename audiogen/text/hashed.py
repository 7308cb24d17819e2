"""A text encoder that needs no download: hashed words, learned with the language model."""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from audiogen.text.captions import Caption, descriptions

# Words in any script, and single symbols such as emoji; ASCII punctuation separates.
TOKEN = re.compile(r"\w+|[^\w\s!-/:-@\[-`{-~]")


def split_words(caption: str) -> list[str]:
    """Split a caption into lower-cased words and symbols.

    >>> split_words("A dog barks, twice!")
    ['a', 'dog', 'barks', 'twice']
    """
    return TOKEN.findall(unicodedata.normalize("NFKC", caption).lower())


def word_bucket(word: str, num_buckets: int) -> int:
    """Map a word to [0, num_buckets), the same in every process and on every machine."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % num_buckets


class HashedEncoder(nn.Module):
    """Embeddings of hashed words plus learned positions, LayerNorm and a linear layer.

    Words that share a bucket share an embedding. A caption of more than ``max_words`` words is
    read up to its first ``max_words``; one without any word ("...") counts as no caption.

    Args:
        dim: width of the states.
        num_buckets: rows of the word table; a few times the vocabulary keeps collisions rare.
        max_words: words read of a caption.
        word_std: width of the initial word embeddings.
        position_std: width of the initial position embeddings.
    """

    trainable = True

    def __init__(
        self,
        *,
        dim: int,
        num_buckets: int = 4096,
        max_words: int = 64,
        word_std: float = 0.5,
        position_std: float = 0.1,
    ) -> None:
        super().__init__()
        if min(dim, num_buckets, max_words) < 1:
            raise ValueError(
                f"dim, num_buckets and max_words must be at least 1, "
                f"got {dim}, {num_buckets} and {max_words}"
            )
        self.dim = dim
        self.config: dict[str, Any] = {
            "_type": "hashed",
            "dim": dim,
            "num_buckets": num_buckets,
            "max_words": max_words,
            "word_std": word_std,
            "position_std": position_std,
        }
        self.words = nn.Embedding(num_buckets, dim)
        self.positions = nn.Embedding(max_words, dim)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, dim)
        nn.init.normal_(self.words.weight, std=word_std)
        nn.init.normal_(self.positions.weight, std=position_std)

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says; gradients flow."""
        buckets, mask = self._hash(descriptions(captions))
        positions = self.positions.weight[: buckets.shape[1]]
        states = self.output(self.norm(self.words(buckets) + positions))
        return states.where(mask[..., None], 0), mask

    def forward(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Do what `encode` does."""
        return self.encode(captions)

    def _hash(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return buckets, int64 [B, L], and mask, bool [B, L]."""
        max_words, num_buckets = self.config["max_words"], self.config["num_buckets"]
        rows = [
            [word_bucket(word, num_buckets) for word in split_words(text)[:max_words]]
            for text in texts
        ]
        length = max(1, *map(len, rows))
        device = self.words.weight.device
        padded = [row + [0] * (length - len(row)) for row in rows]
        counts = torch.tensor([len(row) for row in rows], device=device)
        mask = torch.arange(length, device=device) < counts[:, None]
        return torch.tensor(padded, device=device), mask
