"""One update from several parts of its batch: as much memory as one part, the numbers of all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from audiogen.codec.balancer import Balancer

Losses = Callable[[Tensor, Tensor], dict[str, Tensor]]


def split_batch(waveform: Tensor, parts: int) -> Sequence[Tensor]:
    """Cut float [B, C, T] into equal parts, so that the mean of their means is the mean.

    Raises:
        ValueError: if B is no multiple of ``parts``.
    """
    _check_parts(len(waveform), parts)
    return waveform.chunk(parts)


def split_items(batch: Mapping[str, Any], parts: int) -> list[dict[str, Any]]:
    """Cut a batch of tensors and lists, all of B items, into equal parts.

    Raises:
        ValueError: if B is no multiple of ``parts``.
    """
    size = len(next(iter(batch.values())))
    _check_parts(size, parts)
    step = size // parts
    return [
        {name: values[start : start + step] for name, values in batch.items()}
        for start in range(0, size, step)
    ]


def _check_parts(items: int, parts: int) -> None:
    if items % parts:
        raise ValueError(
            f"a batch of {items} cannot be cut into {parts} equal parts: module.accumulate "
            "must divide data.batch_size, which counts the items of an update"
        )


def balance(
    balancer: Balancer,
    losses: Losses,
    outputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    item_weights: Tensor | None,
) -> tuple[Sequence[Tensor], dict[str, Tensor], Tensor]:
    """Balance the gradients of ``losses`` (output, target) with respect to the outputs.

    Args:
        balancer: sees the gradients of all parts at once, so its norms are of the whole batch.
        losses: means over the items of a part.
        outputs: float [b, C, T] each; what made them is not differentiated here.
        targets: as many, of the same shapes.
        item_weights: float [B] of all items, see `Balancer.backward`.

    Returns:
        Per part the balanced gradient float [b, C, T], the losses of the batch by name, and the
        loss that was in effect.
    """
    gradients, values = [], []
    for output, target in zip(outputs, targets, strict=True):
        leaf = output.detach().requires_grad_()
        terms = losses(leaf, target)
        gradients.append(balancer.gradients(terms, leaf))
        values.append({name: term.detach() for name, term in terms.items()})
    parts = len(outputs)
    names = list(values[0])
    means = {name: torch.stack([value[name] for value in values]).mean() for name in names}
    joined = {name: torch.cat([part[name] for part in gradients]) / parts for name in names}
    total, effective = balancer.combine(means, joined, item_weights=item_weights)
    return total.chunk(parts), means, effective
