"""A published language model's configuration: what it is built of, and what it goes with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiogen.released.keys import Read, integer, number, switch, text
from audiogen.released.lm_keys import (
    ONLY,
    PATTERNS,
    T5,
    TRANSFORMER,
    UNHEEDED,
    UNSAID,
    optional,
    positive,
)
from audiogen.released.tables import (
    read_mapping,
    read_some,
    read_table,
    read_value,
    refuse_unknown,
)
from audiogen.released.xp_cfg import XpCfg

OURS = "audiogen"  # a key of our own: what the published configuration has no words for
ATTRIBUTE = "description"  # what a caption is called there
FUSERS = ("sum", "prepend", "input_interpolate")  # ways for a caption in that are not known here


@dataclass(frozen=True, kw_only=True, slots=True)
class LMConfig:
    """What an xp.cfg says of a language model."""

    keywords: Mapping[str, Any]  # of `TokenLM`, but for text_dim, which the tensors know
    text: Mapping[str, Any]  # of the T5 encoder: name, and what we wrote besides
    max_duration: float  # seconds
    sample_rate: int  # Hz, of the codec it goes with
    channels: int  # of that codec
    codec_codebooks: int | None  # of that codec in use; None for all
    guidance_scale: float | None  # what it was published with; None if nothing is said
    codec_hash: str | None  # of the codec it goes with, where `export_released` noted it
    card: Mapping[str, Any]  # what `export_released` noted of the model card


def read_lm_config(cfg: XpCfg) -> LMConfig:
    """Read the configuration of a published language model.

    Raises:
        CheckpointError: naming the key that is missing, unknown, or of another kind; or key and
            value, where it describes something else than `TokenLM` or a frozen T5 encoder.
    """
    _expect(cfg, "lm_model", "transformer_lm")
    _check_fuser(cfg)
    if cfg.has("interleave_stereo_codebooks.use"):
        _expect(cfg, "interleave_stereo_codebooks.use", False)
    keywords = _read_transformer(cfg)
    keywords |= _read_pattern(cfg, keywords["num_codebooks"])
    noted = _noted(cfg, f"{OURS}.lm")
    # What has a published name is read under it, where it is checked.
    refuse_unknown(
        cfg, f"{OURS}.lm", noted, noted.keys() - {name for name, _ in TRANSFORMER.values()}
    )
    return LMConfig(
        keywords=keywords | noted,
        text={"name": _read_t5(cfg), **_noted(cfg, f"{OURS}.text")},
        max_duration=float(_read(cfg, "dataset.segment_duration", positive)),
        sample_rate=_read(cfg, "sample_rate", integer),
        channels=_read(cfg, "channels", integer),
        codec_codebooks=_optional(cfg, "compression_model_n_q", integer),
        guidance_scale=_optional(cfg, "classifier_free_guidance.inference_coef", number),
        codec_hash=_optional(cfg, f"{OURS}.codec_hash", text),
        card=_noted(cfg, f"{OURS}.card"),
    )


def _read_transformer(cfg: XpCfg) -> dict[str, Any]:
    path = "transformer_lm"
    tree = read_mapping(cfg, path)
    # What is not known and off changes nothing: later releases have switches of their own.
    on = {key: value for key, value in tree.items() if value not in (None, False)}
    refuse_unknown(cfg, path, on, TRANSFORMER.keys() | ONLY.keys() | UNHEEDED)
    for key in ONLY.keys() & tree.keys():
        _expect(cfg, f"{path}.{key}", ONLY[key])
    heeded = {key: value for key, value in tree.items() if key in TRANSFORMER}
    return read_table(cfg, path, heeded, TRANSFORMER, unsaid=UNSAID)


def _read_pattern(cfg: XpCfg, num_codebooks: int) -> dict[str, Any]:
    """Return the keyword ``delays`` for plain delays, ``pattern`` for anything else."""
    path = "codebooks_pattern"
    name = cfg.get(f"{path}.modeling") if cfg.has(f"{path}.modeling") else None
    section = f"{path}.{name}"
    if name is None:  # of the oldest files
        name, section = cfg.get("transformer_lm.q_modeling"), ""
    if not isinstance(name, str) or name not in PATTERNS:
        known = ", ".join(sorted(PATTERNS))
        raise cfg.error(f"has {path}.modeling {name!r}; known are {known}")
    ours, table = PATTERNS[name]
    if not cfg.has(section) and name == "musiclm":
        section = f"{path}.music_lm"
    tree = read_mapping(cfg, section) if cfg.has(section) else {}
    options = {k: v for k, v in read_some(cfg, section, tree, table).items() if v is not None}
    if ours == "delay" and not options.get("flatten_first") and not options.get("empty_initial"):
        return {"delays": options.get("delays", list(range(num_codebooks)))}
    return {"pattern": {"name": ours, **options}}


def _check_fuser(cfg: XpCfg) -> None:
    tree = read_mapping(cfg, "fuser")
    known = {"cross", "ignore", *FUSERS, "cross_attention_pos_emb", "cross_attention_pos_emb_scale"}
    refuse_unknown(cfg, "fuser", tree, known)
    _expect(cfg, "fuser.cross", [ATTRIBUTE])
    for key in ("ignore", *FUSERS):
        if tree.get(key):
            _expect(cfg, f"fuser.{key}", [])
    if tree.get("cross_attention_pos_emb"):
        _expect(cfg, "fuser.cross_attention_pos_emb", False)


def _read_t5(cfg: XpCfg) -> str:
    """Return the name of the text encoder."""
    conditioners = read_mapping(cfg, "conditioners")
    conditioners.pop("args", None)
    if list(conditioners) != [ATTRIBUTE]:
        raise cfg.error(
            f"has conditioners {', '.join(map(str, conditioners)) or 'of no kind'}; the one known "
            f"here is {ATTRIBUTE}"
        )
    path = f"conditioners.{ATTRIBUTE}"
    _expect(cfg, f"{path}.model", "t5")
    refuse_unknown(cfg, path, read_mapping(cfg, path), ("model", "t5"))
    options = read_some(cfg, f"{path}.t5", read_mapping(cfg, f"{path}.t5"), T5)
    for key in ("finetune", "normalize_text"):
        if options.get(key):
            _expect(cfg, f"{path}.t5.{key}", False)
    if not options.get("name"):
        raise cfg.error(f"lacks {path}.t5.name")
    return str(options["name"])


def _expect(cfg: XpCfg, path: str, known: Any) -> None:
    found = cfg.get(path)
    same = _truth(found) is known if isinstance(known, bool) else found == known
    if not same:
        raise cfg.error(f"has {path} {found!r}; what is known here is {known!r}")


def _truth(value: Any) -> Any:
    """Take 1 and 0 for true and false; leave anything else as it is."""
    try:
        return switch(value)
    except TypeError:
        return value


def _noted(cfg: XpCfg, path: str) -> dict[str, Any]:
    return read_mapping(cfg, path) if cfg.has(path) else {}


def _read(cfg: XpCfg, path: str, read: Read) -> Any:
    return read_value(cfg, path, cfg.get(path), read)


def _optional(cfg: XpCfg, path: str, read: Read) -> Any:
    return _read(cfg, path, optional(read)) if cfg.has(path) else None
