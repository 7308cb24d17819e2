"""Keys of a published codec's configuration <-> keywords of `Codec`."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogen.codec.model import Codec
from audiogen.codec.seanet import ACTIVATIONS
from audiogen.released.keys import DECODER, RVQ, SEANET, UNSAID, Read, integer, switch
from audiogen.released.tables import read_mapping, read_some, read_table, read_value
from audiogen.released.xp_cfg import XpCfg

OURS = "audiogen"  # a key of our own: keywords that the published configuration has no words for


def read_codec_config(cfg: XpCfg) -> dict[str, Any]:
    """Return the keywords of the `Codec` that a configuration describes.

    Raises:
        CheckpointError: naming the key that is missing, unknown, or of another kind, or the part
            that is no SEANet with a residual quantizer.
    """
    _check_kind(cfg)
    top = {"renormalize": False, **read_mapping(cfg, "encodec")}
    keywords: dict[str, Any] = {
        "sample_rate": read_value(
            cfg, "encodec.sample_rate", cfg.get("encodec.sample_rate"), integer
        ),
        "renormalize": read_value(cfg, "encodec.renormalize", top["renormalize"], switch),
        **_read_seanet(cfg),
        **_read_rvq(cfg),
    }
    channels = cfg.get("encodec.channels")
    if channels != keywords["channels"]:
        raise cfg.error(
            f"has encodec.channels {channels} and seanet.channels {keywords['channels']}"
        )
    if keywords["renormalize"] and keywords["causal"] and not cfg.get("encodec.causal"):
        keywords = causal_inside(keywords)
    return keywords | (read_mapping(cfg, OURS) if cfg.has(OURS) else {})


def causal_inside(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Say of a codec that looks at the whole sound that its convolutions are causal all the same.

    `Codec` itself is causal only if nothing in it sees what comes later.
    """
    halves = {
        half: {**(keywords.get(half) or {}), "causal": True}
        for half in ("encoder_overrides", "decoder_overrides")
    }
    return {**keywords, "causal": False, **halves}


def _check_kind(cfg: XpCfg) -> None:
    expected = {
        "compression_model": "encodec",
        "encodec.autoencoder": "seanet",
        "encodec.quantizer": "rvq",
    }
    for key, known in expected.items():
        found = cfg.get(key)
        if found != known:
            raise cfg.error(f"has {key} {found!r}; the codec known here is {known!r}")


def _read_seanet(cfg: XpCfg) -> dict[str, Any]:
    tree = read_mapping(cfg, "seanet")
    halves = {}
    for half in ("encoder", "decoder"):
        own = read_mapping(cfg, f"seanet.{half}") if tree.pop(half, None) else {}
        halves[half] = own
    tree.setdefault("causal", cfg.get("encodec.causal"))
    _join_equal(tree, halves)
    shared = read_table(cfg, "seanet", tree, SEANET, unsaid=UNSAID, known=DECODER)
    tail = {key: halves["decoder"].pop(key) for key in DECODER if key in halves["decoder"]}
    shared |= read_some(cfg, "seanet.decoder", tail, DECODER)
    for half, own in halves.items():
        overrides = read_some(cfg, f"seanet.{half}", own, SEANET)
        shared[f"{half}_overrides"] = overrides or None
    return shared


def _join_equal(tree: dict[str, Any], halves: Mapping[str, dict[str, Any]]) -> None:
    """Let what both halves override alike be shared: `Codec` has one latent width."""
    encoder, decoder = halves["encoder"], halves["decoder"]
    for key in [key for key in encoder if key in SEANET]:
        if encoder[key] == decoder.get(key, tree.get(key)):
            value = encoder.pop(key)
            if key in decoder:
                tree[key] = value
                del decoder[key]
    for own in halves.values():
        for key in [key for key in own if key in SEANET and own[key] == tree.get(key)]:
            del own[key]


def _read_rvq(cfg: XpCfg) -> dict[str, Any]:
    tree = read_mapping(cfg, "rvq")
    # The regularizer of the entries has no part in what a codec computes, and none in what it
    # learns: entries follow averages, not gradients. It only raises the loss that is reported.
    rest = {key: value for key, value in tree.items() if not key.startswith("orthogonal_reg_")}
    return {**read_table(cfg, "rvq", rest, RVQ, unsaid=UNSAID), "dead_code_unit": "count"}


def write_codec_config(codec: Codec) -> dict[str, Any]:
    """Return the published configuration of a codec, without references.

    What it has no words for stands under the key "audiogen", which other readers pass over.
    """
    config = codec.config
    threshold, unit = config["dead_code_threshold"], config["dead_code_unit"]
    if unit == "mean":  # in latents per step, at the batch this codec was trained with
        counts = [codebook.cluster_size.mean().item() for codebook in codec.quantizer.codebooks]
        threshold = float(f"{threshold * sum(counts) / len(counts):.6g}")
    tree = {
        "solver": "compression",
        "sample_rate": config["sample_rate"],
        "channels": config["channels"],
        "compression_model": "encodec",
        "encodec": {
            "autoencoder": "seanet",
            "quantizer": "rvq",
            "sample_rate": config["sample_rate"],
            "channels": config["channels"],
            "causal": config["causal"],
            "renormalize": config["renormalize"],
        },
        "seanet": {
            **_write(config, SEANET),
            "decoder": {
                **_write(config, DECODER),
                **_write(config["decoder_overrides"] or {}, {**SEANET, **DECODER}),
            },
            "encoder": _write(config["encoder_overrides"] or {}, SEANET),
        },
        "rvq": {
            **_write({**config, "dead_code_threshold": threshold}, RVQ),
            "orthogonal_reg_weight": 0.0,
            "orthogonal_reg_active_codes_only": False,
        },
    }
    ours = _unsaid(codec, tree)
    return tree | ({OURS: ours} if ours else {})


def _write(config: Mapping[str, Any], table: Mapping[str, tuple[str, Read]]) -> dict[str, Any]:
    names = {keyword: key for key, (keyword, _) in table.items()}
    return {
        names[keyword]: _written(keyword, config[keyword]) for keyword in names if keyword in config
    }


def _written(keyword: str, value: Any) -> Any:
    if keyword.endswith("activation") and value is not None:
        return ACTIVATIONS[value.lower()].__name__
    if keyword in ("activation_params", "norm_params"):
        return value or {}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _unsaid(codec: Codec, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that reading ``tree`` would not give back."""
    signature = inspect.signature(Codec).parameters
    defaults = {name: parameter.default for name, parameter in signature.items()}
    back = {**defaults, **read_codec_config(XpCfg(dict(tree), source=Path("xp.cfg")))}
    return {
        name: value for name, value in codec.config.items() if _plain(back[name]) != _plain(value)
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
