"""Caption -> states [B, L, D] and mask."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from audiogen.text.captions import Caption, check_captions

__all__ = ["Caption", "TextEncoder", "build_text_encoder", "check_captions"]

KINDS = ("hashed", "t5", "clap", "joined")


@runtime_checkable
class TextEncoder(Protocol):
    """What the language model needs from an encoder of captions."""

    dim: int  # width of the states
    trainable: bool  # whether it learns together with the language model
    config: dict[str, Any]  # "_type" and the keywords that rebuild it

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode B captions, at least one.

        Args:
            captions: None and "" mean "no caption". A mapping gives a caption by attribute; a
                string is the attribute "description", and the only one that most encoders read
                (see `audiogen.text.joined.JoinedEncoder`).

        Returns:
            states: float [B, L, dim], L at least 1.
            mask: bool [B, L], true where a state belongs to its caption; a row without a caption
                is false everywhere.
        """
        ...


def build_text_encoder(config: Mapping[str, Any]) -> TextEncoder:
    """Rebuild an encoder from its ``config``.

    Raises:
        ValueError: if ``config["_type"]`` is not one of `KINDS`.
    """
    keywords = dict(config)
    kind = keywords.pop("_type", None)
    if kind == "hashed":
        from audiogen.text.hashed import HashedEncoder

        return HashedEncoder(**keywords)
    if kind == "t5":
        from audiogen.text.t5 import T5Encoder

        return T5Encoder(**keywords)
    if kind == "clap":
        from audiogen.text.clap import ClapEncoder

        return ClapEncoder(**keywords)
    if kind == "joined":
        from audiogen.text.joined import JoinedEncoder

        parts = _parts(keywords.pop("encoders", None))
        encoders = {name: build_text_encoder(part) for name, part in parts.items()}
        return JoinedEncoder(encoders=encoders, **keywords)
    raise ValueError(
        f"unknown text encoder _type {kind!r}: expected one of {', '.join(map(repr, KINDS))}"
    )


def outside_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the outside encoders in a ``config``: folders or hub ids."""
    names: list[str] = []

    def note(name: str) -> str:
        names.append(name)
        return name

    placed(config, note)
    return names


def placed(config: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Return a ``config`` with ``place(name)`` for every name of an outside encoder."""
    changed = dict(config)
    if "name" in changed:
        changed["name"] = place(changed["name"])
    if "encoders" in changed:
        parts = _parts(changed["encoders"]).items()
        changed["encoders"] = {name: placed(part, place) for name, part in parts}
    return changed


def _parts(encoders: object) -> Mapping[str, Mapping[str, Any]]:
    if isinstance(encoders, Mapping) and all(isinstance(p, Mapping) for p in encoders.values()):
        return encoders
    raise ValueError(f"encoders must map attributes to configs of text encoders, got {encoders!r}")
