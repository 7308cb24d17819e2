"""What a language model cannot be trained on, and what to do about it."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from audiogen.data.shards import TokenError
from audiogen.lm.model import TokenLM
from audiogen.text import TextEncoder
from audiogen.text.captions import DESCRIPTION
from audiogen.training.lm_losses import count_targets


def check_codes(batch: Mapping[str, Any], *, num_codebooks: int, codebook_size: int) -> None:
    """Refuse a batch on the CPU that a model of these codebooks cannot learn from.

    Raises:
        TokenError: for other codebooks, codes that do not exist, or an item without a frame.
    """
    codes, mask = batch["codes"], batch["code_mask"]
    if codes.ndim != 3 or codes.shape[1] != num_codebooks or codes.shape != mask.shape:
        raise TokenError(
            f"expected codes and code_mask [B, {num_codebooks}, T], got {list(codes.shape)} and "
            f"{list(mask.shape)}: set codec.num_codebooks to that of the codes"
        )
    lowest, highest = codes.aminmax()
    if lowest < 0 or highest >= codebook_size:
        raise TokenError(
            f"the batch holds codes from {int(lowest)} to {int(highest)}, the language model has "
            f"codes from 0 to {codebook_size - 1}: set codec.codebook_size to that of the codes"
        )
    empty = (~mask.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise TokenError(f"item {empty[0]} of the batch has no frame: leave out what is empty")


def check_attributes(names: Iterable[str], text: TextEncoder) -> None:
    """Refuse to hide attributes that the text encoder does not read.

    Raises:
        ValueError: naming those it reads.
    """
    read = getattr(text, "attributes", (DESCRIPTION,))
    unread = [name for name in names if name not in read]
    if unread:
        raise ValueError(
            f"attribute_dropout names {', '.join(map(repr, unread))}, the text encoder reads "
            f"{' and '.join(map(repr, read))} only: leave out the others, or take one that reads "
            "them, as text=joined"
        )


def check_whole(mask: Tensor) -> None:
    """Refuse codes whose silence is not known where the silence is to be trained on.

    Raises:
        TokenError: if bool [B, K, T] is false somewhere.
    """
    if not mask.all():
        raise TokenError(
            "lm.paper_exact trains on the silence behind a short sound, and a folder of codes does "
            "not hold its codes: train from sounds (data=audiocaps_sounds), or on segments that "
            "are whole"
        )


def check_header(header: Mapping[str, Any], *, num_codebooks: int, codebook_size: int) -> None:
    """Refuse training data whose description says that it is for other codebooks.

    Raises:
        TokenError: naming what to set.
    """
    size, count = header.get("codebook_size"), header.get("num_codebooks")
    if size not in (None, codebook_size):
        raise TokenError(
            f"the codes to train on are of codebooks of {size}, the language model is built "
            f"for {codebook_size}: set codec.codebook_size={size}"
        )
    if count is not None and count < num_codebooks:
        raise TokenError(
            f"the codes to train on are of {count} codebooks, the language model is built for "
            f"{num_codebooks}: set codec.num_codebooks={count}"
        )


def check_same_codec(found: str, others: Mapping[str, str | None]) -> None:
    """Refuse codes of a codec that is not one of ``others``, fingerprints by what is of them.

    Raises:
        TokenError: naming both.
    """
    for whose, expected in others.items():
        if expected not in (None, found):
            raise TokenError(
                f"the codes to train on are of codec {found[:12]}, {whose} is of codec "
                f"{str(expected)[:12]}: encode the sounds again with "
                "scripts/encode_tokens.py, or name the codec that made these codes"
            )


def check_length(lm: TokenLM, frames: int, *, complete: bool) -> None:
    """Refuse segments in which a delayed codebook has nothing to predict.

    Raises:
        ValueError: naming the codebook.
    """
    mask = torch.ones(1, lm.num_codebooks, frames, dtype=torch.bool)
    counts = count_targets(lm, mask, complete=complete)
    if not counts.all():
        raise ValueError(
            f"segments of {frames} frames leave codebook {int(counts.argmin())} without a target, "
            "as its delay is as long: train on longer ones, or with module.complete=true"
        )
