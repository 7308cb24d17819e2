"""What the processes of a training join: batches, gradients, buffers, names."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_items(values: Tensor) -> Tensor:
    """Join float [b, ...] of all processes to [B, ...], in the order their items were dealt in."""
    if world_size() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients of all processes, after as many backward passes as one likes."""
    _average([p.grad for p in parameters if p.grad is not None])


def average_buffers(module: nn.Module) -> None:
    """Replace every floating-point buffer by its mean over the processes."""
    _average([buffer for buffer in module.buffers() if buffer.is_floating_point()])


@torch.no_grad()
def _average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their means over the processes, in one exchange."""
    if world_size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def names_of_all(names: list[str]) -> list[str]:
    """Return the names that any process has, in one order."""
    if world_size() == 1:
        return names
    found: list[list[str]] = [[] for _ in range(world_size())]
    dist.all_gather_object(found, names)
    return list(dict.fromkeys(name for part in found for name in part))
