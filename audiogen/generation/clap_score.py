"""The cosine of a sound and its caption in the common space of a CLAP that the user has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from audiogen.audio import resample
from audiogen.text.captions import Caption, descriptions
from audiogen.text.folders import TextEncoderError, first_line
from audiogen.text.pretrained import PretrainedEncoder, encodable


class ClapScore(PretrainedEncoder):
    """A whole `ClapModel` of transformers, sound and text, as a scorer.

    Args:
        name: a local folder as save_pretrained writes it, with the tokenizer and
            preprocessor_config.json, or a hub id such as "laion/clap-htsat-unfused".

    Raises:
        TextEncoderError: if it cannot be read.

    Source: CLAP (arXiv:2211.06687), section 3.
    """

    kind = "CLAP model"
    example = "laion/clap-htsat-unfused"
    network_class = "ClapModel"
    known: ClassVar[Mapping[str, int]] = {}

    def __init__(self, *, name: str) -> None:
        super().__init__({"_type": "clap_score"}, name=name, dim=None, lazy=False)
        self.listener = self._listener(self.find())

    @torch.no_grad()
    def forward(  # type: ignore[override]
        self, waveforms: Tensor, sample_rate: int, caption: Caption
    ) -> Tensor:
        """Score float32 [n, C, T] against a caption: float32 [n], each in [-1, 1].

        Longer sounds are heard in pieces of what the network hears at once, and their mean counts,
        each by its length.
        """
        rate = self.listener.sampling_rate
        mono = resample(waveforms.mean(dim=1), sample_rate, rate).cpu()
        pieces = mono.split(int(self.listener.nb_max_samples), dim=-1)
        heard = [self._heard(sound) for piece in pieces for sound in piece]
        output = self.network(
            **self._words(caption),
            **{name: torch.cat([one[name] for one in heard]) for name in heard[0]},
        )
        cosines = output.audio_embeds @ output.text_embeds[0]
        shares = torch.tensor([piece.shape[-1] / mono.shape[-1] for piece in pieces])
        return shares @ cosines.view(len(pieces), len(mono)).cpu()

    def _words(self, caption: Caption) -> dict[str, Tensor]:
        (words,) = descriptions([caption])
        limit = self.network.config.text_config.max_position_embeddings - 2
        row = self.tokenizer(encodable(words)).input_ids
        ids = torch.tensor([row if len(row) <= limit else row[: limit - 1] + row[-1:]])
        return {"input_ids": ids.to(self.device)}

    def _heard(self, sound: Tensor) -> dict[str, Tensor]:
        """Return what the network is given of float32 [T].

        One at a time: of several, transformers draws one at random to be treated as a long one.
        """
        state = np.random.get_state()  # noqa: NPY002  the stream that transformers draws from
        try:
            heard = self.listener(
                sound.numpy(), sampling_rate=self.listener.sampling_rate, return_tensors="pt"
            )
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return {name: heard[name].to(self.device) for name in ("input_features", "is_longer")}

    def _listener(self, folder: Path) -> Any:
        import transformers

        file = "preprocessor_config.json"
        source = folder if (folder / file).is_file() else Path(self.name).expanduser()
        try:
            if source.is_dir() and not (source / file).is_file():
                raise FileNotFoundError(f"it has no {file}, which says how sound is heard")
            return transformers.ClapFeatureExtractor.from_pretrained(
                source if source.is_dir() else self.name
            )
        except (OSError, ValueError, TypeError, json.JSONDecodeError) as error:
            raise TextEncoderError(
                f"no {self.kind} can be read from {self.name}: {first_line(error)}"
            ) from error

    def _width(self, config: Mapping[str, Any]) -> int | None:
        return config.get("projection_dim")
