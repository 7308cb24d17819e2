"""`TokenLM` and what it goes with -> the configuration of a published language model."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.parts import text_beside
from audiogen.released.lm_config import ATTRIBUTE, FUSERS, OURS, read_lm_config
from audiogen.released.lm_keys import ONLY, PATTERNS, TRANSFORMER, UNSAID
from audiogen.released.xp_cfg import XpCfg
from audiogen.text import TextEncoder

GUIDANCE = 3.0  # the scale that models are published with
SWITCHES = {  # of the transformer, as published; they change nothing that is computed
    "custom": False,
    "memory_efficient": True,
    "attention_as_float32": False,
    "cross_attention": False,  # `fuser.cross` switches it on
    "two_step_cfg": False,
}
UNWRITTEN = ("max_period", "positional_scale")


def check_text(text: TextEncoder, lm: TokenLM) -> str:
    """Return the name of a text encoder, which has to be one that the layout has words for.

    Raises:
        ValueError: if it is no T5, or has another width than the language model reads.
    """
    kind = text.config.get("_type")
    if kind != "t5":
        raise ValueError(
            f"the published layout knows frozen T5 encoders only, and this model reads captions by "
            f"{kind!r}: export it as a model folder of ours (save_pretrained, format=folder)"
        )
    if text.dim != lm.config["text_dim"]:
        raise ValueError(
            f"the language model reads text states of width {lm.config['text_dim']}, the text "
            f"encoder gives {text.dim}: give the one it was trained with"
        )
    return str(text.config["name"])


def write_lm_config(
    lm: TokenLM,
    codec: Codec,
    text: TextEncoder,
    *,
    max_duration: float,
    card: Mapping[str, object],
) -> dict[str, Any]:
    """Return the published configuration of a language model, without references.

    What it has no words for stands under the key "audiogen", which other readers pass over.
    """
    place = Path(str(text.config["name"])).expanduser()
    own = not text_beside(text)  # what lay beside a model keeps its name
    config = lm.config | {"hidden_scale": _whole(lm.config["hidden_scale"])}
    tree = {
        "solver": "audiogen",
        "sample_rate": codec.sample_rate,
        "channels": codec.channels,
        "dataset": {"segment_duration": _whole(max_duration)},
        "classifier_free_guidance": {"training_dropout": 0.1, "inference_coef": GUIDANCE},
        "attribute_dropout": {},
        "fuser": {
            "cross_attention_pos_emb": False,
            "cross_attention_pos_emb_scale": 1,
            **{name: [] for name in FUSERS},
            "cross": [ATTRIBUTE],
        },
        "conditioners": {
            ATTRIBUTE: {
                "model": "t5",
                "t5": {
                    "name": place.name if own and place.is_dir() else text.config["name"],
                    "finetune": False,
                    "word_dropout": 0.0,
                    "normalize_text": False,
                },
            }
        },
        "compression_model_n_q": _fewer(lm, codec),
        "interleave_stereo_codebooks": {"use": False, "per_timestep": False},
        "lm_model": "transformer_lm",
        "codebooks_pattern": _pattern(lm),
        "transformer_lm": {
            **_transformer(config),
            "emb_lr": None,
            **ONLY,
            **SWITCHES,
            "checkpointing": "none",
            "weight_init": lm.config["weight_init"],
            "depthwise_init": lm.config["depth_init"],
            "zero_bias_init": True,
            "attention_dropout": None,
        },
    }
    ours = {"lm": _unsaid(lm, tree), "text": _options(text)}
    noted = {"codec_hash": codec.fingerprint(), "card": dict(card)}
    return tree | {OURS: {key: value for key, value in (ours | noted).items() if value}}


def _transformer(config: Mapping[str, Any]) -> dict[str, Any]:
    """Name the keywords as published; those that published files leave out, only if need be."""
    named = {key: config[name] for key, (name, _) in TRANSFORMER.items()}
    return {k: v for k, v in named.items() if k not in UNWRITTEN or v != UNSAID[k]}


def _pattern(lm: TokenLM) -> dict[str, Any]:
    options = dict(lm.pattern.options)
    name = options.pop("name")
    assert name in PATTERNS
    section = "music_lm" if name == "musiclm" else name
    return {"modeling": name, section: options}


def _fewer(lm: TokenLM, codec: Codec) -> int | None:
    """Codebooks of the codec in use, where it has more."""
    return None if lm.num_codebooks == codec.total_codebooks else lm.num_codebooks


def _options(text: TextEncoder) -> dict[str, Any]:
    """Keywords of the text encoder that the layout has no words for."""
    return {key: value for key, value in text.config.items() if key not in ("_type", "name")}


def _unsaid(lm: TokenLM, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that reading ``tree`` would not give back."""
    signature = inspect.signature(TokenLM).parameters
    defaults = {name: parameter.default for name, parameter in signature.items()}
    read = read_lm_config(XpCfg(dict(tree), source=Path("xp.cfg"))).keywords
    back = {**defaults, **read, "text_dim": lm.config["text_dim"]}
    return {name: value for name, value in lm.config.items() if back[name] != value}


def _whole(value: float) -> float:
    """Write 4.0 as 4, as published files have it."""
    return int(value) if value == int(value) else value
