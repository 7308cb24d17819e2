"""Several attributes of a sound, each with an encoder of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from audiogen.text import TextEncoder
from audiogen.text.captions import DESCRIPTION, Caption, attributes, check_captions


class JoinedEncoder(nn.Module):
    """The states of every attribute one behind the other, in the order of ``encoders``.

    A caption is a mapping such as {"description": "a dog barks", "sound_class": "animal"}; an
    attribute that is missing, None or "" takes no part. A string is the description alone.

    Args:
        encoders: attribute -> its encoder; all of one width.

    Source: the fusion "cross" of AudioCraft, which concatenates its conditions along time.
    """

    def __init__(self, *, encoders: Mapping[str, TextEncoder]) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("expected an encoder for at least one attribute, got none")
        widths = {name: encoder.dim for name, encoder in encoders.items()}
        if len(set(widths.values())) > 1:
            shown = ", ".join(f"{name} {dim}" for name, dim in widths.items())
            raise ValueError(f"all encoders must have one dim, got {shown}: change text_dim")
        self.attributes = tuple(encoders)
        self.dim = next(iter(widths.values()))
        self.trainable = any(encoder.trainable for encoder in encoders.values())
        self.config: dict[str, Any] = {
            "_type": "joined",
            "encoders": {name: encoder.config for name, encoder in encoders.items()},
        }
        self.parts = nn.ModuleList(cast(nn.Module, encoder) for encoder in encoders.values())

    @property
    def encoders(self) -> dict[str, TextEncoder]:
        """The encoders by attribute."""
        return dict(zip(self.attributes, cast(Sequence[TextEncoder], self.parts), strict=True))

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says.

        Raises:
            ValueError: for a caption with an attribute that has no encoder.
        """
        check_captions(captions)
        rows = [attributes(caption) for caption in captions]
        for index, row in enumerate(rows):
            unread = [name for name, text in row.items() if text and name not in self.attributes]
            if unread:
                raise ValueError(
                    f"caption {index} has {unread[0]!r}, which this model does not read: give "
                    f"{' or '.join(map(repr, self.attributes))}"
                    + (f"; a string is its {DESCRIPTION!r}" if unread == [DESCRIPTION] else "")
                )
        encoded = [
            encoder.encode([row.get(name) for row in rows])
            for name, encoder in self.encoders.items()
        ]
        states, masks = zip(*encoded, strict=True)
        return torch.cat(states, dim=1), torch.cat(masks, dim=1)

    def forward(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Do what `encode` does."""
        return self.encode(captions)
