"""What of our models `MusicgenForConditionalGeneration` can hold, and its configuration."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from audiogen.codec.model import Codec
from audiogen.codec.seanet import Geometry
from audiogen.codec.settings import geometry
from audiogen.lm.model import TokenLM
from audiogen.model_folder.parts import outside_encoders
from audiogen.released.lm_write import GUIDANCE
from audiogen.released.transformers_folder import KEYS
from audiogen.text import TextEncoder
from audiogen.text.t5 import T5Encoder

ONLY: dict[str, Any] = {  # keyword of `TokenLM` -> the one value that transformers computes with
    "norm_first": True,
    "bias_attn": False,
    "bias_ff": False,
    "bias_proj": False,
    "layer_scale": None,
    "position_scale": 1.0,
    "max_period": 10_000.0,
}
DEFAULTS: dict[str, Any] = {"norm_params": {"eps": 1e-5}, "activation_params": {"alpha": 1.0}}
NORMS = ("weight_norm", "time_group_norm")
TOP_K = 250  # as `audiogen.generation.settings` has it
OF_DECODER = ("trim_right_ratio", "final_activation", "final_activation_params")


class NotHeldError(ValueError):
    """A model that `MusicgenForConditionalGeneration` has no words for."""


def check_held(text: TextEncoder, lm: TokenLM, codec: Codec) -> None:
    """Refuse what transformers would compute otherwise.

    Raises:
        NotHeldError: naming every such key with its value.
    """
    found = [*_of_text(text, lm), *_of_lm(lm), *_of_codec(codec)]
    if found:
        raise NotHeldError(
            f"MusicGen of transformers cannot hold {'; '.join(found)}: write it with "
            "format=folder (save_pretrained), which holds everything"
        )


def t5_of(text: TextEncoder) -> T5Encoder | None:
    """Return the one T5 encoder that a text encoder is; None if it is anything else."""
    if text.config.get("_type") != "t5":
        return None
    encoders = [text, *outside_encoders(text)]
    return next((encoder for encoder in encoders if isinstance(encoder, T5Encoder)), None)


def _of_text(text: TextEncoder, lm: TokenLM) -> list[str]:
    if t5_of(text) is None:
        return [f"text encoder {text.config.get('_type')!r} (it has 't5')"]
    if lm.config["text_dim"] != lm.dim:
        return []
    projection = lm.text_projection
    neutral = torch.eye(lm.dim).to(projection.weight)
    if torch.equal(projection.weight, neutral) and not projection.bias.any():
        return []
    return [f"text_projection with text_dim {lm.dim} equal to dim (it then has none)"]


def _of_lm(lm: TokenLM) -> list[str]:
    config = lm.config
    found = [f"{k} {config[k]!r} (it has {v!r})" for k, v in ONLY.items() if config[k] != v]
    count = lm.num_codebooks
    for frames in (1, count + 2):
        steps = 1 + torch.arange(count)[:, None] + torch.arange(frames)
        layout = lm.pattern.layout(frames)
        if layout.shape[1] != frames + count or not torch.equal(lm.pattern.steps(frames), steps):
            delays = list(range(count))
            shown = config["pattern"] or f"delays {config['delays']}"
            return [*found, f"pattern {shown} (it has delays {delays})"]
    return found


def _of_codec(codec: Codec) -> list[str]:
    config = codec.config
    encoder, decoder = (_half(codec, half) for half in ("encoder", "decoder"))
    differing = [k for k in decoder if k not in OF_DECODER and encoder[k] != decoder[k]]
    found = [
        f"{k} {encoder[k]!r} in the encoder and {decoder[k]!r} in the decoder of the codec"
        for k in differing
    ]
    wanted = {
        "activation": decoder["activation"].lower() == "elu",
        "activation_params": _is_default("activation_params", decoder),
        "norm": decoder["norm"] in NORMS,
        "norm_params": decoder["norm"] != NORMS[1] or _is_default("norm_params", decoder),
        "final_activation": decoder["final_activation"] is None,
        "disable_norm_outer_blocks": decoder["disable_norm_outer_blocks"] == 0,
        "lstm_layers": decoder["lstm_layers"] >= 1,
        "channels": codec.channels in (1, 2),
        "codebook_size": codec.codebook_size.bit_count() == 1,  # it wants a power of two
    }
    values = {**config, **decoder}
    return found + [f"codec {k} {values[k]!r}" for k, held in wanted.items() if not held]


def _is_default(name: str, half: Mapping[str, Any]) -> bool:
    return {**DEFAULTS[name], **half[name]} == DEFAULTS[name]


def _half(codec: Codec, half: str) -> dict[str, Any]:
    """Return the keywords of one half, its overrides applied."""
    config = codec.config
    shared = {name: config[name] for name in Geometry.__dataclass_fields__}
    return vars(geometry(shared, config[f"{half}_overrides"]))


def encodec_config(codec: Codec) -> dict[str, Any]:
    """Return the keywords of an `EncodecConfig`; the first bandwidth is that of what is in use."""
    values = {**codec.config, **_half(codec, "decoder")}
    config = {key: values[keyword] for key, (keyword, _) in KEYS.items()}
    if not config["use_causal_conv"]:
        config["trim_right_ratio"] = 1.0  # has no effect, and transformers refuses others
    counts = sorted({codec.num_codebooks, codec.total_codebooks})
    return config | {
        "upsampling_ratios": list(config["upsampling_ratios"]),
        "target_bandwidths": [_bandwidth(codec, count) for count in counts],
        "use_conv_shortcut": not values["true_skip"],
    }


def _bandwidth(codec: Codec, count: int) -> float:
    """Return kbit/s of which transformers makes so many codebooks."""
    bits = math.ceil(codec.sample_rate / codec.hop_length) * int(math.log2(codec.codebook_size))
    bandwidth = count * bits / 1000
    while int(1000 * bandwidth // bits) < count:
        bandwidth = math.nextafter(bandwidth, math.inf)
    return bandwidth


def decoder_config(lm: TokenLM) -> dict[str, Any]:
    """Return the keywords of a `MusicgenDecoderConfig`."""
    config = lm.config
    return {
        "vocab_size": lm.codebook_size,
        "num_codebooks": lm.num_codebooks,
        "hidden_size": lm.dim,
        "num_hidden_layers": len(lm.layers),
        "num_attention_heads": lm.num_heads,
        "ffn_dim": lm.layers[0].mlp_in.out_features,
        "activation_function": config["activation"],
        "dropout": config["dropout"],
        "pad_token_id": lm.special_token,
        "bos_token_id": lm.special_token,
    }


def generation_config(lm: TokenLM, codec: Codec, *, max_duration: float) -> dict[str, Any]:
    """Return the keywords of a `GenerationConfig`: sampling as models are published with.

    Lengths are in steps: T frames take T + K of them, the start included.
    """
    return {
        "do_sample": True,
        "guidance_scale": GUIDANCE,
        "top_k": min(TOP_K, lm.codebook_size),
        "max_length": max(1, round(max_duration * codec.frame_rate)) + lm.num_codebooks,
        "pad_token_id": lm.special_token,
        "bos_token_id": lm.special_token,
        "decoder_start_token_id": lm.special_token,
    }
