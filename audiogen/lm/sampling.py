"""Choosing codes from logits: temperature, top-k, top-p, and a race that needs no global stream.

Source: top-k arXiv:1805.04833, nucleus (top-p) arXiv:1904.09751; the race is the Gumbel-max trick
written with exponential variables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from torch import Tensor


def is_number(value: object, *, whole: bool = False) -> bool:
    """Whether it is a real or a whole number, Python's or numpy's; true and false are none."""
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool)


def check_sampling(*, temperature: float, top_k: int, top_p: float) -> None:
    """Refuse settings that describe no distribution.

    Raises:
        ValueError: if temperature or top_k is negative, top_k no whole number, top_p outside
            [0, 1], or one of them no number at all.
    """
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if not is_number(value):
            raise ValueError(f"{name} must be a number, got {value!r}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0 (0 is greedy), got {temperature}")
    if not is_number(top_k, whole=True) or top_k < 0:
        raise ValueError(
            f"top_k must be a whole number of at least 0 (0 keeps every code), got {top_k!r}"
        )
    if not 0 <= top_p <= 1:
        raise ValueError(f"top_p must be in [0, 1] (0 turns it off), got {top_p}")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How codes are chosen; see `sample_codes`.

    Raises:
        ValueError: if the settings describe no distribution.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.0

    def __post_init__(self) -> None:
        check_sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)

    def choose(self, logits: Tensor, noise: Tensor | None) -> Tensor:
        """Choose a code for each row of float [B, K, N]: int64 [B, K].

        ``noise`` is of the same shape, see `draw_noise`; None takes the most likely code.
        """
        if noise is None or self.temperature == 0:
            return logits.argmax(dim=-1)
        probabilities = filter_probabilities(
            logits, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p
        )
        return (probabilities / noise).argmax(dim=-1)


def filter_probabilities(
    logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 0.0
) -> Tensor:
    """Turn logits into the distribution to draw from.

    Args:
        logits: float [..., N].
        temperature: positive; divides the logits.
        top_k: keep the k most likely codes and those as likely as the k-th; 0 keeps all, as does
            any k of N or more.
        top_p: keep the most likely codes until their sum exceeds it; 0 turns it off. When it is
            on, ``top_k`` is not used, as in the reference.

    Returns:
        float32 [..., N], summing to 1.
    """
    # Below that, logits could become infinite, and their softmax NaN; above, nothing changes.
    probabilities = torch.softmax(logits.float() / max(temperature, 1e-30), dim=-1)
    if top_p > 0:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(dim=-1) - ordered
        kept = torch.zeros_like(ordered).scatter(-1, order, ordered.where(before <= top_p, 0))
    elif 0 < top_k < logits.shape[-1]:
        least = probabilities.topk(top_k, dim=-1).values[..., -1:]
        kept = probabilities.where(probabilities >= least, 0)
    else:
        return probabilities
    return kept / kept.sum(dim=-1, keepdim=True)


def race(probabilities: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw one code per row: the largest p / e, where e is exponentially distributed.

    Item ``i`` consumes K * N draws of ``generators[i]`` and nothing else, so what it gets does not
    depend on the items beside it.

    Args:
        probabilities: float [B, K, N]; rows need not sum to 1.
        generators: B sources of randomness. Ones on the CPU give the same draws whatever device
            the probabilities are on.

    Returns:
        int64 [B, K]; code ``n`` with a chance proportional to ``probabilities[..., n]``.
    """
    if len(generators) != len(probabilities):
        raise ValueError(
            f"expected one generator per item: batch of {len(probabilities)}, "
            f"got {len(generators)} generators"
        )
    noise = torch.stack(
        [
            draw_noise(torch.empty(probabilities.shape[1:], device=generator.device), generator)
            for generator in generators
        ]
    )
    return (probabilities / noise.to(probabilities.device)).argmax(dim=-1)


def draw_noise(empty: Tensor, generator: torch.Generator) -> Tensor:
    """Fill float [K, N] with the exponential variables of one race, and return it.

    An exact zero is possible, and 0 / 0 would win the race as NaN: there is none.
    """
    return empty.exponential_(generator=generator).clamp_(min=torch.finfo(empty.dtype).tiny)


def sample_codes(
    logits: Tensor,
    *,
    generators: Sequence[torch.Generator] | None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 0.0,
) -> Tensor:
    """Choose one code per codebook.

    Args:
        logits: float [B, K, N].
        generators: one per item; None takes the most likely code, the first of equals.
        temperature: 0 takes the most likely code too, without consuming draws.
        top_k: as in `filter_probabilities`.
        top_p: as in `filter_probabilities`.

    Returns:
        int64 [B, K].
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    if generators is None or temperature == 0:
        return sampling.choose(logits, None)
    probabilities = filter_probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return race(probabilities, generators)
