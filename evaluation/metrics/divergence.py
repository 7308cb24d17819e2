"""Kullback-Leibler divergence between the class probabilities of paired sounds.

Direction, activation, epsilon and what happens to the segments of a long sound differ between
published protocols and change the number, so all four are arguments.
"""

import math
from typing import Any

from torch import Tensor
from torch.nn.functional import logsigmoid

DIRECTIONS = ("reference||generated", "generated||reference", "both")
ACTIVATIONS = ("softmax", "sigmoid")
SEGMENTS = ("items", "mean_logits", "max_logits", "first")


def kl_divergence(
    reference_logits: Tensor,
    generated_logits: Tensor,
    *,
    direction: str = "reference||generated",
    activation: str = "softmax",
    epsilon: float = 0.0,
) -> Tensor:
    """Divergence KL(p || q) = sum p * (log p - log(q + epsilon)) of each pair, in nats.

    Args:
        reference_logits: float [B, N], class logits before activation.
        generated_logits: float [B, N], likewise, row by row.
        direction: "reference||generated" takes p from the reference; "generated||reference" the
            other way round; "both" is the sum of the two.
        activation: "softmax"; or "sigmoid", which some tools report although independent class
            probabilities do not sum to one: it can be negative and is no divergence.
        epsilon: added inside the logarithm of q only, and q is not renormalized. 0 is exact;
            1e-6 is AudioCraft's, with which identical sounds score slightly below zero.

    Returns:
        float64 [B], of no rows none.

    Raises:
        ValueError: if the shapes differ, there are no classes, a logit is not finite, an option is
            unknown or no number, or logits are so far apart that the divergence is above the
            largest number.

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> round(float(kl_divergence(logits, torch.zeros(1, 3))), 4)
    0.0589
    """
    check_options(direction, activation, epsilon)
    shape = reference_logits.shape
    if len(shape) != 2 or shape[1] == 0 or shape != generated_logits.shape:
        raise ValueError(
            f"expected two sets of logits [B, N] of one shape and N >= 1 classes, got "
            f"{list(reference_logits.shape)} and {list(generated_logits.shape)}"
        )
    if not (reference_logits.isfinite().all() and generated_logits.isfinite().all()):
        raise ValueError("logits hold NaN or infinite values: check the sounds")
    log_reference = _log_probabilities(reference_logits, activation)
    log_generated = _log_probabilities(generated_logits, activation)
    forward = _divergence(log_reference, log_generated, epsilon)
    backward = _divergence(log_generated, log_reference, epsilon)
    found = dict(zip(DIRECTIONS, (forward, backward, forward + backward), strict=True))[direction]
    if not found.isfinite().all():
        raise ValueError("logits are too far apart for a finite divergence: check the sounds")
    return found


def clip_divergence(
    reference_logits: Tensor, generated_logits: Tensor, *, segments: str, **options: Any
) -> Tensor:
    """Divergences that one pair of sounds contributes, by the rule for its segments.

    Args:
        reference_logits: float [n, N], one row per segment of the reference.
        generated_logits: float [m, N], likewise.
        segments: "items" makes every segment an item of equal weight, as AudioCraft does, and wants
            n = m; "mean_logits" and "max_logits" take the mean or the largest of each logit over
            the segments of a clip first, as stable-audio-metrics does; "first" takes the first
            segment alone.
        options: of `kl_divergence`.

    Returns:
        float64 [items]: n of them, or one.

    Raises:
        ValueError: if a side has no segment or, with "items", the sides differ in their number.
    """
    check_segments(segments)
    counts = len(reference_logits), len(generated_logits)
    if min(counts) == 0:
        raise ValueError("a side is too short for one segment")
    if segments != "items":
        pool = _POOLS[segments]
        reference_logits, generated_logits = pool(reference_logits), pool(generated_logits)
    elif counts[0] != counts[1]:
        raise ValueError(f"the sides have {counts[0]} and {counts[1]} segments: cut them alike")
    return kl_divergence(reference_logits, generated_logits, **options)


def check_segments(segments: str) -> None:
    """Check the rule for segments of `clip_divergence`."""
    if segments not in SEGMENTS:
        raise ValueError(f"segments must be one of {', '.join(SEGMENTS)}, got {segments!r}")


_POOLS = {
    "mean_logits": lambda logits: logits.double().mean(dim=0, keepdim=True),
    "max_logits": lambda logits: logits.double().amax(dim=0, keepdim=True),
    "first": lambda logits: logits[:1],
}


def _divergence(log_p: Tensor, log_q: Tensor, epsilon: float) -> Tensor:
    if epsilon > 0:
        log_q = (log_q.exp() + epsilon).log()
    p = log_p.exp()  # a class of probability zero adds nothing, however far below zero its log is
    return (p * (log_p - log_q)).where(p > 0, 0.0).sum(dim=1)


def _log_probabilities(logits: Tensor, activation: str) -> Tensor:
    logits = logits.double()
    return logits.log_softmax(dim=1) if activation == "softmax" else logsigmoid(logits)


def check_options(direction: str, activation: str, epsilon: float) -> None:
    """Check the options of `kl_divergence`."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    number = isinstance(epsilon, int | float) and not isinstance(epsilon, bool)
    if not number or not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a finite number from zero, got {epsilon!r}")
