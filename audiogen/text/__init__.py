"""Caption -> states [B, L, D] and mask."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class TextEncoder(Protocol):
    """What the language model needs from an encoder of captions."""

    dim: int  # width of the states
    trainable: bool  # whether it learns together with the language model
    config: dict[str, Any]  # "_type" and the keywords that rebuild it

    def encode(self, captions: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Encode B captions, at least one.

        Args:
            captions: None and "" mean "no caption".

        Returns:
            states: float [B, L, dim], L at least 1.
            mask: bool [B, L], true where a state belongs to its caption; a row without a caption
                is false everywhere.
        """
        ...


def check_captions(captions: Sequence[str | None]) -> None:
    """Refuse a batch that is not a non-empty sequence of strings and None.

    Raises:
        ValueError: naming the index of the first item that is neither.
    """
    if isinstance(captions, str):
        raise ValueError(
            f"expected a list of captions, got one string: {captions!r}; write [{captions!r}]"
        )
    if not captions:
        raise ValueError("expected at least one caption, got none; pass [None] for no caption")
    for index, caption in enumerate(captions):
        if caption is not None and not isinstance(caption, str):
            raise ValueError(
                f"caption {index} must be a string or None, got {type(caption).__name__}: "
                f"{caption!r}"
            )


def build_text_encoder(config: Mapping[str, Any]) -> TextEncoder:
    """Rebuild an encoder from its ``config``.

    Raises:
        ValueError: if ``config["_type"]`` is not "hashed" or "t5".
    """
    keywords = dict(config)
    kind = keywords.pop("_type", None)
    if kind == "hashed":
        from audiogen.text.hashed import HashedEncoder

        return HashedEncoder(**keywords)
    if kind == "t5":
        from audiogen.text.t5 import T5Encoder

        return T5Encoder(**keywords)
    raise ValueError(f"unknown text encoder _type {kind!r}: expected 'hashed' or 't5'")
