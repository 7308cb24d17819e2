"""Training that begins with a codec that exists."""

from typing import Literal

from audiogen.codec.model import Codec


def pretrained_codec(
    source: str,
    *,
    sample_rate: int,
    channels: int,
    num_codebooks: int,
    codebook_size: int,
    decay: float,
    dead_code_threshold: float,
    dead_code_unit: Literal["mean", "count"] = "mean",
    codebook_dropout: bool = False,
    paper_exact: bool = False,
) -> Codec:
    """Load a codec to go on training it.

    The first four after ``source`` are what the rest of the configuration counts on: the codec has
    to agree, since only loading it tells. The others say how its codebooks learn from now on (see
    `Codec`), whatever it was trained with: published thresholds are counts, which would restart
    nearly all codes of a smaller batch. ``source`` is what `Codec.from_pretrained` takes.

    Returns:
        The codec with the weights of ``source``, ready to learn.

    Raises:
        ValueError: if the codec is of another rate, of more channels and so on; and whatever
            `audiogen.checkpoint.load_codec` raises.
    """
    loaded = Codec.from_pretrained(source)
    expected = {
        "sample_rate": sample_rate,
        "channels": channels,
        "num_codebooks": num_codebooks,
        "codebook_size": codebook_size,
    }
    found = {**loaded.config, "num_codebooks": loaded.total_codebooks}
    wrong = {name: found[name] for name, value in expected.items() if found[name] != value}
    if wrong:
        words = " ".join(f"codec.{name}={value}" for name, value in wrong.items())
        raise ValueError(f"the codec of {source} is not as the configuration has it: set {words}")
    learning = {
        "decay": decay,
        "dead_code_threshold": dead_code_threshold,
        "dead_code_unit": dead_code_unit,
        "codebook_dropout": codebook_dropout,
        "paper_exact": paper_exact,
    }
    codec = Codec(**{**loaded.config, **learning})
    codec.load_state_dict(loaded.state_dict())
    return codec
