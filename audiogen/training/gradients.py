"""Gradients before an optimizer's step: their norm, its limit, and what is no number."""

import math
from collections.abc import Iterable

from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float | None) -> Tensor:
    """Scale gradients to a global norm of at most ``limit``; return the norm they had, float [].

    Raises:
        ValueError: if the limit is not above 0: a negative one would climb the loss.
    """
    if limit is not None and not limit > 0:
        raise ValueError(f"gradient_clip must be above 0, or null for no limit, got {limit}")
    learned = list(parameters)
    norm = nn.utils.get_total_norm([p.grad for p in learned if p.grad is not None])
    norm = norm.full_tensor() if isinstance(norm, DTensor) else norm  # of all shares
    nn.utils.clip_grads_with_norm_(learned, math.inf if limit is None else limit, norm)
    return norm


def require_finite_norm(norm: Tensor, *, whose: str, update: int | None = None) -> None:
    """Raise before an optimizer writes a gradient that is not finite into weights.

    Call it with the norm of gradients that were averaged over the ranks: all of them raise.
    """
    if not norm.isfinite():
        when = "" if update is None else f" in update {update}"
        raise FloatingPointError(
            f"the gradient of {whose} is not finite{when} (norm {float(norm)}), so its weights "
            "were left as they are: the run has diverged, or the batch holds such samples; lower "
            "the learning rate or clip gradients, or repair the sound, and give resume_from=... a "
            "checkpoint of before"
        )
