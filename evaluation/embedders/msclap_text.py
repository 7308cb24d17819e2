"""The words of the text tower of Microsoft's CLAP: GPT-2's tokens, whose files no package brings.

They are of the Hugging Face repository `gpt2`, and looked for as `tokenizer_files` says. As in the
package msclap, "!" is the word that fills up short captions, and therefore never part of a longer
one; every caption ends in a space and the end of the text.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from evaluation.embedders.clap_text import Tokenizer
from evaluation.embedders.tokenizer_files import Words, cached_folders, find_words
from evaluation.embedders.weight_file import WeightsError

GPT2 = Words(
    tower="the text tower of Microsoft's CLAP",
    folder="gpt2",
    repositories=("gpt2", "openai-community/gpt2"),
)
WORDS = 50257  # of GPT-2's vocabulary
KNOWN = ("Hello world", [15496, 995])  # what that vocabulary makes of these words
END = " <|endoftext|>"
FILLING = 0  # id of "!"


def find_tokenizer(weights: Path | None, given: Path | None = None) -> Path:
    """Return the folder of the tokenizer's files; arguments and errors as in `find_words`."""
    return find_words(GPT2, weights, given, cached=_cached)


def load_tokenizer(folder: Path, *, words: int) -> Tokenizer:
    """Load GPT-2's tokenizer from a folder.

    Args:
        folder: where `find_tokenizer` found its files.
        words: size of the vocabulary that the network was trained with.

    Returns:
        captions to ids int64 [n, L], as long as the longest needs and never cut, and mask [n, L].

    Raises:
        WeightsError: if the files are damaged or are another network's.
    """
    from transformers import GPT2Tokenizer  # seconds, that only captions are worth

    try:
        gpt2 = GPT2Tokenizer.from_pretrained(str(folder), local_files_only=True)
        gpt2.add_special_tokens({"pad_token": "!"})
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"{folder}: not GPT-2's tokenizer ({reason})") from error
    ids = gpt2(KNOWN[0])["input_ids"]
    if (
        len(gpt2) != words
        or gpt2.pad_token_id != FILLING
        or (words == WORDS and list(ids) != KNOWN[1])
    ):
        raise WeightsError(
            f"{folder}: not the tokenizer of this network: it has {len(gpt2)} words, the network "
            f"{words}, '!' is {gpt2.pad_token_id} instead of {FILLING}, and it makes {list(ids)} "
            f"of {KNOWN[0]!r}, where {GPT2.folder} makes {KNOWN[1]}"
        )

    def tokenize(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        return _fill([gpt2(caption + END)["input_ids"] for caption in captions])

    return tokenize


def stand_in_tokenizer(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Give every word an id by its hash: for random weights, which know no words anyway."""
    last = WORDS - 1
    return _fill(
        [
            [*(1 + zlib.crc32(word.lower().encode()) % (last - 1) for word in one.split()), last]
            for one in captions
        ]
    )


def _fill(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Fill rows of ids up to the longest; the tower looks back alone and never sees it."""
    lengths = torch.tensor([len(row) for row in rows])
    longest = int(lengths.max())
    ids = torch.tensor([[*row, *[FILLING] * (longest - len(row))] for row in rows])
    return ids, (torch.arange(longest) < lengths[:, None]).long()


def _cached() -> list[Path]:
    return cached_folders(GPT2)
