"""Facts of models in the words of `audiogen info`, whatever layout they come from."""

import math
from collections.abc import Mapping
from typing import Any

from audiogen.codec.settings import frame_rate_of


def card_facts(card: Mapping[str, Any]) -> dict[str, object]:
    """What a model card says first."""
    keys = ("name", "licence", "training_data", "stand_ins")
    words = ("name", "licence", "training data", "stand-ins")
    return {word: card.get(key) for key, word in zip(keys, words, strict=True)}


def lm_words(lm: Mapping[str, Any]) -> str:
    """Size of a language model, by the keywords of `TokenLM`."""
    return f"{lm['num_layers']} layers of width {lm['dim']}, {lm['num_heads']} heads"


def lm_facts(lm: Mapping[str, Any]) -> dict[str, object]:
    """What a language model predicts and in which order, by the keywords of `TokenLM`."""
    options = dict(lm.get("pattern") or {"name": "delay", "delays": lm["delays"]})
    name = options.pop("name")
    words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in options.items())
    return {
        "language model": lm_words(lm),
        "pattern": f"{name}, {words}" if words else name,
        "codes predicted": f"{lm['num_codebooks']} codebooks of {lm['codebook_size']}",
    }


def codec_facts(codec: Mapping[str, Any]) -> dict[str, object]:
    """What a codec is for, by the keywords of `Codec`."""
    frame_rate = frame_rate_of(codec)
    bits = codec["num_codebooks"] * math.log2(codec["codebook_size"])
    causal = "causal" if codec["causal"] else "not causal"
    return {
        "sound": f"{codec['sample_rate']} Hz, {codec['channels']} channel(s)",
        "codes": (
            f"{codec['num_codebooks']} codebooks of {codec['codebook_size']}, "
            f"{frame_rate:g} frames/s, {bits * frame_rate / 1000:.3g} kbit/s"
        ),
        "convolutions": f"{causal}, {codec['norm']}, padding {codec['pad_mode']}",
    }
