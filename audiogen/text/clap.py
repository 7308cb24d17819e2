"""One state per caption: the text embedding of CLAP, the space in which sounds are scored too."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from audiogen.text.captions import Caption, descriptions
from audiogen.text.pretrained import PretrainedEncoder, encodable, pad

logger = logging.getLogger(__name__)

CHECKPOINTS = (
    *("laion/clap-htsat-unfused", "laion/clap-htsat-fused", "laion/larger_clap_general"),
    *("laion/larger_clap_music", "laion/larger_clap_music_and_speech"),
)
UNRELATED = ("a dog barks", "rain on a tin roof")
COLLAPSED = 0.999  # cosine of unrelated captions above which an embedding says nothing


class ClapEncoder(PretrainedEncoder):
    """Frozen text half of CLAP: one state of length 1 per caption, in the space shared with sound.

    Args:
        name: a local folder of a `ClapModel` or `ClapTextModelWithProjection` with its tokenizer
            as transformers saves them, or a hub id such as "laion/clap-htsat-unfused".
        max_tokens: tokens read of a caption, both ends included; CLAP was trained on 77.
        lowercase: read captions in lower case; see `audiogen.text.t5.T5Encoder`.
        dim: the width its states should have; None takes what it has.
        lazy: read the weights when the first caption arrives.

    Source: CLAP (arXiv:2211.06687), section 3.
    """

    kind = "CLAP text encoder"
    example = "laion/clap-htsat-unfused"
    network_class = "ClapTextModelWithProjection"
    known = dict.fromkeys(CHECKPOINTS, 512)

    def __init__(
        self,
        *,
        name: str,
        max_tokens: int = 77,
        lowercase: bool = False,
        dim: int | None = None,
        lazy: bool = False,
    ) -> None:
        if max_tokens < 3:
            raise ValueError(
                f"max_tokens must leave room for a word and two ends, got {max_tokens}"
            )
        config = {"_type": "clap", "max_tokens": max_tokens, "lowercase": lowercase}
        super().__init__(config, name=name, dim=dim, lazy=lazy)

    @torch.no_grad()
    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says, L = 1, in float32."""
        texts = descriptions(captions)
        mask = torch.tensor([bool(text.strip()) for text in texts], device=self.device)
        states = torch.zeros(len(texts), self.dim, device=self.device)
        given = [text for text in texts if text.strip()]
        if given:
            states[mask] = self.embed([t.lower() for t in given] if self._lowercase else given)
        return states[:, None], mask[:, None]

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, float32 [B, D], of length 1."""
        limit = self.config["max_tokens"]
        rows = [self.tokenizer(encodable(text)).input_ids for text in texts]
        rows = [row if len(row) <= limit else row[: limit - 1] + row[-1:] for row in rows]
        ids, mask = pad(rows, value=self.tokenizer.pad_token_id, device=self.device)
        with torch.autocast(ids.device.type, enabled=False):
            output = self.network(input_ids=ids, attention_mask=mask.long())
        return F.normalize(output.text_embeds, dim=-1)

    def load(self) -> tuple[Any, Any]:
        """Return tokenizer and network; the first time, warn of one that hears no difference.

        Some checkpoints do not fit the code of some versions of transformers, which shows in
        nothing but this.
        """
        if self.is_loaded:
            return super().load()
        loaded = super().load()
        one, other = self.embed(UNRELATED)
        likeness = float(one @ other)
        if not likeness < COLLAPSED:
            logger.warning(
                "CLAP %s gives %r and %r a cosine of %.4f: it hardly tells captions apart; "
                "take another checkpoint, or another version of transformers",
                *(self.name, *UNRELATED, likeness),
            )
        return loaded

    @property
    def _lowercase(self) -> bool:
        return self.config["lowercase"]

    def _width(self, config: Mapping[str, Any]) -> int | None:
        inner = config.get("text_config") or {}
        return config.get("projection_dim") or inner.get("projection_dim")
