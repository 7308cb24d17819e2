"""Numbers of a configuration, checked before the libraries that would use them are loaded."""

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from audiogen.training.launch import RunError

# Key -> smallest and largest whole number. Lightning takes some of what lies outside for
# "forever" or "never"; of the others it would say so after half a minute of imports.
WHOLE: dict[str, tuple[int, int | None]] = {
    "trainer.max_steps": (1, None),
    "trainer.val_check_interval": (1, None),
    "trainer.log_every_n_steps": (1, None),
    "seed": (0, 2**32 - 1),
    "checkpoint_every": (1, None),
    "data.batch_size": (1, None),
    "data.valid_batch_size": (1, None),
    "data.num_workers": (0, None),
    "data.train.num_samples": (1, None),
    "module.accumulate": (1, None),
    "module.balanced_items": (1, None),
    "module.warmup_steps": (0, None),
    "module.kmeans_items": (1, None),
    "samples.every": (1, None),
    "scores.every": (1, None),
    "scores.count": (2, None),
    "codec.sample_rate": (1, None),
    "codec.channels": (1, None),
    "codec.num_codebooks": (1, None),
    "codec.codebook_size": (2, None),
}
# Finite numbers; where they have to lie is checked by what uses them.
REAL = (
    "optim.lr",
    "optim.weight_decay",
    "module.gradient_clip",
    "module.level_floor",
    "module.commitment_weight",
    "module.condition_dropout",
    "module.word_dropout",
    "module.embedding_lr",
    "adversarial.every",
    "average.decay",
    "codec.decay",
    "codec.dead_code_threshold",
    "data.train.segment_duration",
)
NULL_IS_OFF = (
    "trainer.val_check_interval",
    "data.valid_batch_size",
    "data.train.num_samples",
    "module.balanced_items",
    "module.gradient_clip",
    "module.level_floor",
    "module.embedding_lr",
)


def check_numbers(cfg: DictConfig) -> None:
    """Refuse what is no number, or one that would mean "forever", "never" or a crash.

    Raises:
        RunError: naming the key.
    """
    if OmegaConf.select(cfg, "trainer.max_steps", default=1, throw_on_missing=True) is None:
        raise RunError("trainer.max_steps is required and was not given: add updates=...")
    for key, (lowest, highest) in WHOLE.items():
        value = _value(cfg, key)
        whole = type(value) is int and value >= lowest and (highest is None or value <= highest)
        if value is not _OFF and not whole:
            bounds = f"{lowest} or more" if highest is None else f"{lowest} to {highest}"
            raise RunError(f"{key} must be a whole number, {bounds}, got {value}")
    for key in REAL:
        value = _value(cfg, key)
        real = type(value) in (int, float) and math.isfinite(value)
        if value is not _OFF and not real:
            raise RunError(f"{key} must be a number, got {value}")
    _check_trainer(cfg)


def _check_trainer(cfg: DictConfig) -> None:
    """Refuse what Lightning would do to one optimizer, where the module has its own way."""
    for key, ours, nothing in (
        ("trainer.accumulate_grad_batches", "module.accumulate", (None, 1)),
        ("trainer.gradient_clip_val", "module.gradient_clip", (None, 0)),
    ):
        known = OmegaConf.select(cfg, _parent(ours), default={})
        if ours.rpartition(".")[2] in known and OmegaConf.select(cfg, key) not in nothing:
            raise RunError(f"{key} is not used here: set {ours}")


_OFF = object()


def _value(cfg: DictConfig, key: str) -> Any:
    """Return the value of a key, or `_OFF` where there is none or it may be null and is."""
    value = OmegaConf.select(cfg, key, default=_OFF, throw_on_missing=True)
    if value is None and (key in NULL_IS_OFF or OmegaConf.select(cfg, _parent(key)) is None):
        return _OFF
    return value


def _parent(key: str) -> str:
    return key.rpartition(".")[0]
