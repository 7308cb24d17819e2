"""Learning-rate schedules: pure functions from the number of finished updates to a factor.

A schedule has no state, so there is nothing to save and nothing to restore: the factor of update
``step`` (0 for the first) is the same in a resumed run. Configs name them with ``_partial_: true``.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer

Schedule = Callable[[int], float]


def constant(step: int, *, warmup: int = 0) -> float:
    """Rise linearly over ``warmup`` updates to 1, then stay.

    >>> [constant(step, warmup=2) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    _check(step, warmup)
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def cosine(step: int, *, total: int, warmup: int = 0, floor: float = 0.0) -> float:
    """Rise linearly over ``warmup`` updates, then fall along half a cosine: ``floor`` at ``total``.

    >>> [round(cosine(step, total=4, floor=0.1), 3) for step in range(6)]
    [1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """
    _check(step, warmup)
    if step < warmup:
        return (step + 1) / warmup
    # A run of fewer updates than the warm-up (a smoke test) never gets here before its end.
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def polynomial(
    step: int,
    *,
    total: int,
    warmup: int = 0,
    wait: int = 0,
    floor: float = 0.0,
    power: float = 2.0,
) -> float:
    """Stay at 0 for ``wait`` updates, rise linearly over ``warmup``, then fall as a power.

    >>> [round(polynomial(step, total=6, warmup=1, wait=1), 4) for step in range(7)]
    [0.0, 1.0, 1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    _check(step, min(warmup, wait))
    start = wait + warmup
    if step < start:
        return max(0, step + 1 - wait) / warmup if warmup else 0.0
    progress = min(1.0, (step - start) / max(1, total - start))
    return floor + (1.0 - floor) * (1.0 - progress) ** power


def inverse_sqrt(step: int, *, warmup: int, start: float = 0.0) -> float:
    """Rise linearly from ``start`` over ``warmup`` updates, then fall as 1 / sqrt(update).

    Source: the reference trains AudioGen so, with 3000 warm-up updates.

    >>> [round(inverse_sqrt(step, warmup=3000), 6) for step in (0, 2999, 5999)]
    [0.000333, 1.0, 0.707107]
    """
    _check(step, warmup)
    if warmup < 1:
        raise ValueError(f"inverse_sqrt needs a warm-up of 1 update or more, got {warmup}")
    update = step + 1
    if update < warmup:
        return start + (1.0 - start) * update / warmup
    return math.sqrt(warmup / update)


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Set each group to ``factor`` times the learning rate it was built with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


def _check(step: int, warmup: int) -> None:
    if step < 0 or warmup < 0:
        raise ValueError(f"step and warmup cannot be negative: got step {step}, warmup {warmup}")
