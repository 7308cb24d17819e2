"""Kullback-Leibler divergence between the class probabilities of paired sounds.

Direction, activation and epsilon differ between published protocols and change the number, so
all three are arguments.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torchmetrics import Metric

DIRECTIONS = ("reference||generated", "generated||reference", "both")
ACTIVATIONS = ("softmax", "sigmoid")


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
        float64 [B].

    Raises:
        ValueError: if the shapes differ, a logit is not finite, or an option is unknown.

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> round(float(kl_divergence(logits, torch.zeros(1, 3))), 4)
    0.0589
    """
    _check_options(direction, activation, epsilon)
    if reference_logits.ndim != 2 or reference_logits.shape != generated_logits.shape:
        raise ValueError(
            f"expected two sets of logits [B, N] of one shape, got "
            f"{list(reference_logits.shape)} and {list(generated_logits.shape)}"
        )
    if not (reference_logits.isfinite().all() and generated_logits.isfinite().all()):
        raise ValueError("logits hold NaN or infinite values: check the sounds")
    log_reference = _log_probabilities(reference_logits, activation)
    log_generated = _log_probabilities(generated_logits, activation)
    forward = _divergence(log_reference, log_generated, epsilon)
    backward = _divergence(log_generated, log_reference, epsilon)
    return dict(zip(DIRECTIONS, (forward, backward, forward + backward), strict=True))[direction]


class KLDivergence(Metric):
    """Mean KL divergence over pairs; options as in `kl_divergence`."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(
        self,
        *,
        direction: str = "reference||generated",
        activation: str = "softmax",
        epsilon: float = 0.0,
    ) -> None:
        super().__init__()
        _check_options(direction, activation, epsilon)
        self.direction = direction
        self.activation = activation
        self.epsilon = epsilon
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, reference_logits: Tensor, generated_logits: Tensor) -> None:
        """Add pairs of float [B, N] logits."""
        values = kl_divergence(
            reference_logits,
            generated_logits,
            direction=self.direction,
            activation=self.activation,
            epsilon=self.epsilon,
        )
        self.total = self.total + values.sum()
        self.count = self.count + len(values)

    def compute(self) -> Tensor:
        """Return the mean in nats, float64.

        Raises:
            ValueError: if no pair was added.
        """
        if self.count == 0:
            raise ValueError("a mean divergence needs one or more pairs, got none")
        return self.total / self.count


def _divergence(log_p: Tensor, log_q: Tensor, epsilon: float) -> Tensor:
    if epsilon > 0:
        log_q = (log_q.exp() + epsilon).log()
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def _log_probabilities(logits: Tensor, activation: str) -> Tensor:
    logits = logits.double()
    return logits.log_softmax(dim=1) if activation == "softmax" else logsigmoid(logits)


def _check_options(direction: str, activation: str, epsilon: float) -> None:
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if epsilon < 0:
        raise ValueError(f"epsilon must be zero or more, got {epsilon}")
