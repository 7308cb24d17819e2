"""The text encoder of the published models: a frozen, pretrained T5."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.text.captions import Caption, descriptions
from audiogen.text.folders import INSIDE, TextEncoderError
from audiogen.text.pretrained import PretrainedEncoder, encodable, pad

__all__ = ["T5Encoder", "TextEncoderError"]

logger = logging.getLogger(__name__)

_SIZES = {"small": 512, "base": 768, "large": 1024}
_FIRST = {**_SIZES, "3b": 1024, "11b": 1024}
_LATER = {**_SIZES, "xl": 2048, "xxl": 4096}
WIDTHS = {  # of the states, by hub id; source: d_model of the published configurations
    **{f"t5-{size}": width for size, width in _FIRST.items()},
    **{f"google-t5/t5-{size}": width for size, width in _FIRST.items()},
    **{f"google/flan-t5-{size}": width for size, width in _LATER.items()},
    **{f"google/t5-v1_1-{size}": width for size, width in _LATER.items()},
}


class T5Encoder(PretrainedEncoder):
    """Frozen T5 encoder, of any size; see `PretrainedEncoder` for what frozen means.

    Captions are read as given, case included, with ``</s>`` behind them and padding on the right.
    None and "" are no caption; blanks alone are one, as in the reference: the state of ``</s>``.

    Args:
        name: a local folder with a T5 model and tokenizer as transformers saves them, or a hub
            id such as "t5-large" or "google/flan-t5-base".
        max_tokens: tokens read of a caption, ``</s>`` included; a longer one is cut and logged.
            None reads all, as the reference does, in memory that grows with the square.
        lowercase: read captions in lower case. The published models were trained on lower-cased
            captions but are prompted, by the reference, as given.
        dim: the width its states should have; None takes what it has.
        lazy: read the weights when the first caption arrives.

    Raises:
        TextEncoderError: if the weights or the tokenizer cannot be read.

    Source: T5 (arXiv:1910.10683); its use here, MusicGen (arXiv:2306.05284), section 2.3.
    """

    kind = "T5 encoder"
    example = "t5-large"
    network_class = "T5EncoderModel"
    known = WIDTHS

    def __init__(
        self,
        *,
        name: str,
        max_tokens: int | None = 512,
        lowercase: bool = False,
        dim: int | None = None,
        lazy: bool = False,
    ) -> None:
        if max_tokens is not None and max_tokens < 2:
            raise ValueError(f"max_tokens must leave room for a word and </s>, got {max_tokens}")
        config = {"_type": "t5", "max_tokens": max_tokens, "lowercase": lowercase}
        super().__init__(config, name=name, dim=dim, lazy=lazy)

    @torch.no_grad()
    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says, in float32."""
        texts = descriptions(captions)
        if not any(texts):  # known without the network, which may not even be loaded
            states = torch.zeros(len(texts), 1, self.dim, device=self.device)
            return states, states[..., 0].bool()
        ids, mask = self.tokenize([t.lower() for t in texts] if self.config["lowercase"] else texts)
        with torch.autocast(ids.device.type, enabled=False):
            states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states.where(mask[..., None], 0), mask

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids, int64 [B, L], and mask, bool [B, L], false all over for ""."""
        limit = self.config["max_tokens"]
        rows = [self.tokenizer(encodable(text)).input_ids for text in texts]
        for index, row in enumerate(rows):
            if limit is not None and len(row) > limit:
                logger.warning(
                    "caption %d has %d tokens, only the first %d are read", index, len(row), limit
                )
                rows[index] = row[: limit - 1] + row[-1:]  # keep </s>
        ids, mask = pad(rows, value=self.tokenizer.pad_token_id, device=self.device)
        given = torch.tensor([bool(text) for text in texts], device=self.device)
        return ids, mask & given[:, None]

    def _width(self, config: Mapping[str, Any]) -> int | None:
        return config.get(INSIDE, config).get("d_model")

    def _how(self, folder: Path) -> dict[str, Any]:
        """Pick the T5 out of a whole MusicGen, where the folder holds one."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config.get(INSIDE), dict):
            return {}
        import transformers

        return {
            "config": transformers.T5Config(**config[INSIDE]),
            "key_mapping": {rf"^{INSIDE}\.": ""},
        }
