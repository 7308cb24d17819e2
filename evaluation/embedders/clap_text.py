"""The words of CLAP's text tower: RoBERTa's tokens, whose files no package brings.

They are of the Hugging Face repository `roberta-base`, and looked for as `tokenizer_files` says.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from evaluation.embedders.tokenizer_files import Words, cached_folders, find_words
from evaluation.embedders.weight_file import WeightsError

ROBERTA = Words(
    tower="CLAP's text tower",
    folder="roberta-base",
    repositories=("roberta-base", "FacebookAI/roberta-base"),
)
LONGEST = 77  # tokens, the first and the last included
WORDS = 50265  # of RoBERTa's vocabulary
KNOWN = ("Hello world", [0, 31414, 232, 2])  # what that vocabulary makes of these words
FIRST, PADDING, LAST, ORDINARY = 0, 1, 2, 4  # ids; from the last one on they are words

Tokenizer = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
# captions -> ids int64 [n, L], L at most 77 and as long as the longest needs, and mask [n, L]


def find_tokenizer(weights: Path | None, given: Path | None = None) -> Path:
    """Return the folder of the tokenizer's files; arguments and errors as in `find_words`."""
    return find_words(ROBERTA, weights, given, cached=_cached)


def load_tokenizer(folder: Path, *, words: int) -> Tokenizer:
    """Load RoBERTa's tokenizer from a folder.

    Args:
        folder: where `find_tokenizer` found them.
        words: size of the vocabulary that the network was trained with.

    Raises:
        WeightsError: if the files are damaged or are another network's.
    """
    from transformers import RobertaTokenizer  # seconds, that only captions are worth

    try:
        roberta = RobertaTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"{folder}: not RoBERTa's tokenizer ({reason})") from error

    def tokenize(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        found = roberta(
            list(captions),
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        return found["input_ids"], found["attention_mask"]

    ids = tokenize([KNOWN[0]])[0][0].tolist()
    if len(roberta) != words or (words == WORDS and ids != KNOWN[1]):
        raise WeightsError(
            f"{folder}: not the tokenizer of this network: it has {len(roberta)} words, the "
            f"network {words}, and makes {ids} of {KNOWN[0]!r}, where {ROBERTA.folder} makes "
            f"{KNOWN[1]}"
        )
    return tokenize


def stand_in_tokenizer(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Give every word an id by its hash: for random weights, which know no words anyway."""
    rows = [
        [FIRST, *(_word_id(word) for word in caption.split()[: LONGEST - 2]), LAST]
        for caption in captions
    ]
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])
    return ids, (ids != PADDING).long()


def _word_id(word: str) -> int:
    return ORDINARY + zlib.crc32(word.lower().encode()) % (WORDS - 1 - ORDINARY)


def _cached() -> list[Path]:
    return cached_folders(ROBERTA)
