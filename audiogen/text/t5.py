"""The text encoder of the published models: a frozen, pretrained T5."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from audiogen.text import check_captions

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", "*token*", "spiece.model"]


class TextEncoderError(OSError):
    """A pretrained text encoder could not be read: what, from where, and what to do."""


class T5Encoder(nn.Module):
    """Frozen T5 encoder in float32, whatever the precision of the model around it.

    Its weights are an outside download: they are not part of ``state_dict()`` or
    ``parameters()``, so they are neither saved nor trained. Moving the module moves them;
    casting it does not cast them, and ``train()`` does not bring dropout back.

    Captions are read as given, case included, with ``</s>`` behind them and padding on the right.

    Args:
        name: a local folder with a T5 model and tokenizer as transformers saves them, or a hub
            id such as "t5-large".
        max_tokens: tokens read of a caption, ``</s>`` included; a longer one is cut and logged.
        lowercase: read captions in lower case. The published models were trained on lower-cased
            captions but are prompted, by the reference, as given.

    Raises:
        TextEncoderError: if the weights or the tokenizer cannot be read.

    Source: T5 (arXiv:1910.10683); its use here, MusicGen (arXiv:2306.05284), section 2.3.
    """

    trainable = False
    tokenizer: Any
    network: Any

    def __init__(self, *, name: str, max_tokens: int = 512, lowercase: bool = False) -> None:
        super().__init__()
        if max_tokens < 2:
            raise ValueError(f"max_tokens must leave room for a word and </s>, got {max_tokens}")
        self.config: dict[str, Any] = {
            "_type": "t5",
            "name": str(name),
            "max_tokens": max_tokens,
            "lowercase": lowercase,
        }
        tokenizer, network = _load(str(name))
        # Behind nn.Module's back: what it does not know it neither saves nor trains.
        self.__dict__.update(tokenizer=tokenizer, network=network)
        self.dim: int = network.config.d_model

    @torch.no_grad()
    def encode(self, captions: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says, in float32."""
        check_captions(captions)
        texts = [caption or "" for caption in captions]
        ids, mask = self.tokenize([text.lower() for text in texts] if self._lowercase else texts)
        with torch.autocast(ids.device.type, enabled=False):
            states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states.where(mask[..., None], 0), mask

    def forward(self, captions: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Do what `encode` does."""
        return self.encode(captions)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids, int64 [B, L], and mask, bool [B, L], false all over for ""."""
        limit = self.config["max_tokens"]
        rows = [self.tokenizer(_encodable(text)).input_ids for text in texts]
        for index, row in enumerate(rows):
            if len(row) > limit:
                logger.warning(
                    "caption %d has %d tokens, only the first %d are read", index, len(row), limit
                )
                rows[index] = row[: limit - 1] + row[-1:]  # keep </s>
        length = max(map(len, rows))
        device = next(self.network.parameters()).device
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=device)
        counts = torch.tensor(
            [len(row) if text else 0 for row, text in zip(rows, texts, strict=True)], device=device
        )
        return ids, torch.arange(length, device=device) < counts[:, None]

    @property
    def _lowercase(self) -> bool:
        return self.config["lowercase"]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.network.to(fn(torch.empty(0, device=next(self.network.parameters()).device)).device)
        return super()._apply(fn, recurse)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _load(name: str) -> tuple[Any, Any]:
    """Return tokenizer and frozen float32 encoder."""
    import transformers  # here, as it takes seconds and only this encoder needs it

    folder = _find(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        network = transformers.T5EncoderModel.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise TextEncoderError(
            f"no T5 encoder can be read from {folder}: {_first_line(error)}. Expected what "
            f"save_pretrained writes: config.json, model.safetensors, and tokenizer.json or "
            f"spiece.model"
        ) from error
    return tokenizer, network.eval().requires_grad_(False)


def _find(name: str) -> str:
    """Return the folder of a path or hub id; the hub's cache serves without a network."""
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser())
    if not HUB_ID.fullmatch(name):
        raise TextEncoderError(
            f"no T5 encoder at {name}: there is no such folder. Give a folder written by "
            f"save_pretrained, or a hub id such as t5-large"
        )
    from huggingface_hub import snapshot_download  # here, for the same reason as transformers

    try:
        return snapshot_download(name, allow_patterns=FILES)
    except (OSError, ValueError) as error:
        raise TextEncoderError(
            f"no T5 encoder {name!r}: there is no such folder here, and the Hugging Face hub did "
            f"not deliver it: {_first_line(error)}. Check the spelling and the network, or "
            f"download it on another machine and give the folder instead"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
