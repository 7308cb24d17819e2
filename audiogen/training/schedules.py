"""Learning-rate schedules: pure functions from the number of finished updates to a factor.

A schedule has no state, so there is nothing to save and nothing to restore: the factor of update
``step`` (0 for the first) is the same in a resumed run. Configs name them with ``_partial_: true``.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer

Schedule = Callable[[int], float]


def constant(step: int, *, warmup: int = 0, start: float = 0.0, zero_based: bool = False) -> float:
    """Rise linearly from ``start`` over ``warmup`` updates to 1, then stay.

    >>> [constant(step, warmup=2) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    _check(step, warmup)
    return _rise(step, warmup, start, zero_based) if step < warmup else 1.0


def cosine(
    step: int,
    *,
    total: int,
    warmup: int = 0,
    floor: float = 0.0,
    cycle: float = 1.0,
    zero_based: bool = False,
) -> float:
    """Rise linearly over ``warmup`` updates, then fall along half a cosine: ``floor`` at ``total``.

    Args:
        step: number of finished updates.
        total: updates of the run; from there on the factor is ``floor``.
        warmup: updates.
        floor: the last factor.
        cycle: length of the half cosine in units of what follows the warm-up.
        zero_based: count the warm-up from 0, as the reference does: its first update has a rate
            of 0, and teaches nothing.

    >>> [round(cosine(step, total=4, floor=0.1), 3) for step in range(6)]
    [1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """
    _check(step, warmup)
    if not cycle > 0:
        raise ValueError(f"cycle must be above 0, got {cycle}")
    if step < warmup:
        return _rise(step, warmup, 0.0, zero_based)
    if step > total:
        return floor
    # A run of fewer updates than the warm-up (a smoke test) never gets here before its end.
    progress = (step - warmup) / max(1, total - warmup)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress / cycle))


def polynomial(
    step: int,
    *,
    total: int,
    warmup: int = 0,
    wait: int = 0,
    floor: float = 0.0,
    power: float = 2.0,
    zero_based: bool = False,
) -> float:
    """Stay at 0 for ``wait`` updates, rise linearly over ``warmup``, then fall as a power.

    >>> [round(polynomial(step, total=6, warmup=1, wait=1), 4) for step in range(7)]
    [0.0, 1.0, 1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    _check(step, min(warmup, wait))
    start = wait + warmup
    if step < start:
        return _rise(step - wait, warmup, 0.0, zero_based) if step >= wait and warmup else 0.0
    progress = min(1.0, (step - start) / max(1, total - start))
    return floor + (1.0 - floor) * (1.0 - progress) ** power


def stairs(step: int, *, every: int, factor: float, warmup: int = 0) -> float:
    """Rise linearly over ``warmup`` updates, then take ``factor`` of it every ``every`` updates.

    >>> [stairs(step, every=2, factor=0.5) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    _check(step, warmup)
    if every < 1 or not factor > 0:
        raise ValueError(f"every must be at least 1 and factor above 0, got {every} and {factor}")
    if step < warmup:
        return _rise(step, warmup, 0.0, False)
    return float(factor ** ((step - warmup) // every))


def exponential(step: int, *, factor: float, warmup: int = 0) -> float:
    """Rise linearly over ``warmup`` updates, then take ``factor`` of it at every update.

    >>> [exponential(step, factor=0.5) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return stairs(step, every=1, factor=factor, warmup=warmup)


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


def _rise(step: int, warmup: int, start: float, zero_based: bool) -> float:
    """Return the factor of a linear warm-up: 1 at its end, or one update after it."""
    return start + (1.0 - start) * (step if zero_based else step + 1) / warmup


def _check(step: int, warmup: int) -> None:
    if step < 0 or warmup < 0:
        raise ValueError(f"step and warmup cannot be negative: got step {step}, warmup {warmup}")
