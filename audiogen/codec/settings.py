"""Keywords of a codec: which go together, how its halves differ, and how JSON holds them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from audiogen.codec.seanet import Geometry, hop_length

HIGHEST_RATE = 10_000_000  # Hz; what is above is a slip, and no sound file can say it
FIXED_IN_BOTH_HALVES = ("channels", "dimension")


def frame_rate(sample_rate: int, ratios: Sequence[int], *, paper_exact: bool = False) -> float:
    """Frames per second, Hz: a whole number wherever the hop divides the sample rate.

    Elsewhere only if ``paper_exact``: the reference leaves the remainder out.

    >>> frame_rate(16000, [8, 5, 4, 2]), frame_rate(1000, [4, 2, 2])
    (50, 62.5)
    >>> frame_rate(1000, [4, 2, 2], paper_exact=True)
    62
    """
    whole, rest = divmod(sample_rate, hop_length(ratios))
    return sample_rate / hop_length(ratios) if rest and not paper_exact else whole


def frame_rate_of(codec: Mapping[str, Any]) -> float:
    """Return the `frame_rate` of a codec that is not built, by its keywords.

    Those of a published codec that is not loaded may lack ``ratios``: then it is that of samples.
    """
    exact = codec.get("paper_exact", False)
    return frame_rate(codec["sample_rate"], codec.get("ratios", ()), paper_exact=exact)


def check_settings(*, sample_rate: int, init: str, causal: bool, renormalize: bool) -> None:
    """Raise ValueError for settings of a codec that no codec can have."""
    if not 1 <= sample_rate <= HIGHEST_RATE:
        raise ValueError(
            f"sample_rate must be a positive number of Hz up to {HIGHEST_RATE}, got {sample_rate}"
        )
    if init not in ("pytorch", "scaled"):
        raise ValueError(f"init must be 'pytorch' or 'scaled', got {init!r}")
    if causal and renormalize:
        raise ValueError(
            "renormalize=True looks at the whole input and cannot be causal: turn one of them off"
        )


def check_frames(rate: float) -> None:
    """Raise ValueError if the frames of a second are rounded down to none."""
    if rate == 0:
        raise ValueError(
            "paper_exact counts the whole frames of a second, and here are none: a frame lasts "
            "longer. Take smaller ratios, or leave paper_exact out"
        )


def check_norms(*, causal: bool, norms: Sequence[object]) -> None:
    """Raise ValueError if a norm would look into the future of a causal codec."""
    if causal and "time_group_norm" in norms:
        raise ValueError(
            "time_group_norm averages over the whole input and cannot be causal: "
            "choose norm='weight_norm' or causal=False"
        )


def check_sizes(num_codebooks: int, codebook_size: int, kmeans_iters: int) -> None:
    """Raise ValueError for codebooks that cannot be."""
    if num_codebooks < 1:
        raise ValueError(f"num_codebooks must be at least 1, got {num_codebooks}")
    if codebook_size < 2:
        raise ValueError(
            f"codebook_size must be at least 2, got {codebook_size}: one code carries no bits"
        )
    if kmeans_iters < 1:
        raise ValueError(f"kmeans_iters must be at least 1, got {kmeans_iters}")


def check_averages(decay: float, threshold: float, unit: str) -> None:
    """Raise ValueError for averages of codebooks that cannot be."""
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be in [0, 1), got {decay}")
    if unit not in ("mean", "count"):
        raise ValueError(f"dead_code_unit must be 'mean' or 'count', got {unit!r}")
    if not 0 <= threshold < math.inf:
        raise ValueError(f"dead_code_threshold must not be negative or infinite, got {threshold}")
    if unit == "mean" and threshold >= 1:
        raise ValueError(
            f"dead_code_threshold {threshold} is a share of the mean count and must be below 1, "
            "or even average entries would restart; for a number of latents set "
            "dead_code_unit='count'"
        )


def geometry(shared: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> Geometry:
    """Return the geometry of one half: what both share, with the overrides of this one."""
    overrides = overrides or {}
    allowed = sorted(shared.keys() - set(FIXED_IN_BOTH_HALVES))
    unknown = sorted(overrides.keys() - set(allowed))
    if unknown:
        raise ValueError(
            f"cannot override {', '.join(unknown)} in one half; possible are {', '.join(allowed)}"
        )
    if hop_length(overrides.get("ratios", shared["ratios"])) != hop_length(shared["ratios"]):
        raise ValueError(
            f"cannot override ratios {list(shared['ratios'])} by {list(overrides['ratios'])} in "
            "one half: their products differ, and a frame would be of two lengths"
        )
    both = {**shared, **overrides}
    params = {name: both[name] or {} for name in both if name.endswith("_params")}
    return Geometry(**{**both, **params})


def plain(value: Any) -> Any:
    """Copy nested sequences and mappings as JSON holds them."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    return value
