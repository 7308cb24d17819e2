"""Keys of a published codec's configuration: what each is called here, and how it is read."""

import math
from collections.abc import Callable
from typing import Any

from audiogen.codec.seanet import ACTIVATIONS

Read = Callable[[Any], Any]


def integer(value: Any) -> int:
    """Take 3, 3.0 and true."""
    if isinstance(value, int | float) and value == int(value):
        return int(value)
    raise TypeError("a whole number")


def number(value: Any) -> float:
    """Take any finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise TypeError("a number")


def switch(value: Any) -> bool:
    """Take true and false, 1 and 0."""
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise TypeError("true or false")


def text(value: Any) -> str:
    """Take text."""
    if isinstance(value, str):
        return value
    raise TypeError("text")


def integers(value: Any) -> list[int]:
    """Take a list of whole numbers."""
    if isinstance(value, list):
        return [integer(item) for item in value]
    raise TypeError("a list of whole numbers")


def params(value: Any) -> dict[str, Any] | None:
    """Take keywords; none at all are None, as `Codec` has them by default.

    They are numbers and switches, but for the ``approximate`` of GELU. torch would keep anything
    else, and fail when it computes.
    """
    if value is not None and not isinstance(value, dict):
        raise TypeError("a mapping")
    for key, item in (value or {}).items():
        if not isinstance(item, bool):
            _ = text(item) if key == "approximate" else number(item)
    return value or None


def activation(value: Any) -> str:
    """Take a name of torch.nn; the ones with a short name in `Codec` get it."""
    if not isinstance(value, str) or value.lower() not in ACTIVATIONS:
        raise TypeError(f"an activation of torch.nn that keeps the length ({', '.join(NAMES)})")
    kind = ACTIVATIONS[value.lower()]
    return next(short for short, other in ACTIVATIONS.items() if other is kind)


def optional_activation(value: Any) -> str | None:
    """Take a name of torch.nn, or null."""
    return None if value is None else activation(value)


NAMES = sorted({kind.__name__ for kind in ACTIVATIONS.values()})

# Published key -> keyword, and how the value is read.
SEANET: dict[str, tuple[str, Read]] = {
    "dimension": ("dimension", integer),
    "channels": ("channels", integer),
    "causal": ("causal", switch),
    "n_filters": ("num_filters", integer),
    "n_residual_layers": ("num_residual_layers", integer),
    "ratios": ("ratios", integers),
    "activation": ("activation", activation),
    "activation_params": ("activation_params", params),
    "norm": ("norm", text),
    "norm_params": ("norm_params", params),
    "kernel_size": ("kernel_size", integer),
    "residual_kernel_size": ("residual_kernel_size", integer),
    "last_kernel_size": ("last_kernel_size", integer),
    "dilation_base": ("dilation_base", integer),
    "pad_mode": ("pad_mode", text),
    "true_skip": ("true_skip", switch),
    "compress": ("compress", integer),
    "lstm": ("lstm_layers", integer),
    "disable_norm_outer_blocks": ("disable_norm_outer_blocks", integer),
}
DECODER: dict[str, tuple[str, Read]] = {
    "trim_right_ratio": ("trim_right_ratio", number),
    "final_activation": ("final_activation", optional_activation),
    "final_activation_params": ("final_activation_params", params),
}
RVQ: dict[str, tuple[str, Read]] = {
    "n_q": ("num_codebooks", integer),
    "q_dropout": ("codebook_dropout", switch),
    "bins": ("codebook_size", integer),
    "decay": ("decay", number),
    "kmeans_init": ("kmeans_init", switch),
    "kmeans_iters": ("kmeans_iters", integer),
    "threshold_ema_dead_code": ("dead_code_threshold", number),
}
# What older files leave out: what it is when nothing is said, and what only training asks for.
UNSAID: dict[str, Any] = {
    "activation_params": None,
    "norm_params": None,
    "disable_norm_outer_blocks": 0,
    "q_dropout": False,
    "decay": 0.99,
    "kmeans_init": True,
    "kmeans_iters": 50,
    "threshold_ema_dead_code": 2,
}
