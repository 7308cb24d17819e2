"""Training that begins with a codec, or a whole model, that exists."""

from dataclasses import dataclass, replace
from typing import Literal, cast

from audiogen.checkpoint import find_folder, load_model, read_model_config
from audiogen.codec.model import Codec
from audiogen.model_folder.layout import model_hash
from audiogen.model_folder.parts import Model
from audiogen.text.cached import with_cache
from audiogen.text.pretrained import PretrainedEncoder


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


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A whole model to go on training, and what it is."""

    model: Model
    folder: str  # of the codec of its codes
    hash: str  # of all that decides what it computes


def pretrained_model(
    source: str,
    *,
    text_encoder: str | None = None,
    codec: str | None = None,
    text_cache: str | None = None,
) -> Pretrained:
    """Load a whole model to go on training its language model, on the CPU.

    Args:
        source: what `AudioGen.from_pretrained` takes: a folder of ours or a published one, or a
            hub id.
        text_encoder: where its T5 is read from, if not where the model says.
        codec: of a published language model whose codec does not lie beside it, that codec.
        text_cache: folder of text states that are computed once (see `CachedEncoder`), for a
            text encoder that does not learn; None computes them in every step.

    Raises:
        ValueError: if it is no whole model, or not one of a kind that can be read.
        FileNotFoundError: if it is not there.
    """
    folder = find_folder(source)
    model = load_model(folder, text_encoder=text_encoder, codec=codec)
    text = model.text
    if text_cache is not None:
        if text.trainable:
            raise ValueError(
                f"the text encoder of {source} learns with its model, so that its states change: "
                "set lm.text_cache=null"
            )
        text = with_cache(cast(PretrainedEncoder, text), cache=text_cache)
    return Pretrained(
        model=replace(model, text=text),
        folder=str(codec or folder),
        hash=model_hash(read_model_config(folder)),
    )
