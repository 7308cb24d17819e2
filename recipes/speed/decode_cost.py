"""What a decode step has to move: bytes, counted from the shape of a model."""

from collections.abc import Mapping
from typing import Any

WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


def streamed_weights(config: Mapping[str, Any]) -> int:
    """Count the weights that every step reads: all but embeddings, norms and cross keys, values."""
    dim, hidden = config["dim"], int(config["hidden_scale"] * config["dim"])
    block = 4 * dim**2 + 2 * dim**2 + 2 * dim * hidden
    return int(
        config["num_layers"] * block + dim * config["num_codebooks"] * config["codebook_size"]
    )


def cross_weights(config: Mapping[str, Any]) -> int:
    """Count the weights of the cross-attentions' keys and values, read once per caption."""
    return int(config["num_layers"] * 2 * config["dim"] ** 2)


def step_bytes(
    config: Mapping[str, Any],
    *,
    batch: int,
    position: int,
    text_positions: int,
    weights: str,
    cache: str,
    plain: bool = False,
) -> int:
    """Bytes that a guided step reads at least.

    Args:
        config: of the `TokenLM`.
        batch: items; guidance makes two rows of each.
        position: steps read before, all of which the cache holds.
        text_positions: of the captions; rows without one read none of theirs.
        weights: number format of the linear layers, a key of `WEIGHT_BYTES`.
        cache: number format of what attention reads.
        plain: the baseline, which projects the captions at every step and copies its cache.
    """
    layers, dim = config["num_layers"], config["dim"]
    count = streamed_weights(config) + (cross_weights(config) if plain else 0)
    remembered = 2 * layers * dim * 2 * batch * (position + 1) * WEIGHT_BYTES[cache]
    heard = 2 * layers * dim * batch * text_positions * WEIGHT_BYTES[cache]
    # A concatenation reads what there was and writes it again, rows without a caption are heard.
    return count * WEIGHT_BYTES[weights] + (
        3 * remembered + 2 * heard if plain else remembered + heard
    )
