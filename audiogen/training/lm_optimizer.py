"""Parameters in groups, and the loss scale of float16 around them."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.training.gradients import clip_gradients, require_finite_norm

Groups = Iterable[nn.Parameter] | Iterable[dict[str, Any]]


def parameter_groups(parts: nn.Module, *, embedding_lr: float | None) -> Groups:
    """Return what learns: all of it, or in the reference's groups if embeddings have a rate.

    The groups are what surrounds the blocks (a text encoder that learns included), the code
    embeddings, and the blocks. Weight decay is on all of them, norms and biases included, as the
    optimizer is given it.

    Args:
        parts: holds "lm", and "text" if that is a module.
        embedding_lr: learning rate of the code embeddings, or None.
    """
    learning = [(name, p) for name, p in parts.named_parameters() if p.requires_grad]
    if embedding_lr is None:
        alike: list[nn.Parameter] = [parameter for _, parameter in learning]
        return alike
    if not embedding_lr > 0:
        raise ValueError(f"embedding_lr must be above 0, or null for that of all: {embedding_lr}")
    kinds: dict[str, list[nn.Parameter]] = {"around": [], "embedding": [], "blocks": []}
    for name, parameter in learning:
        kinds[_kind(name)].append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": kinds["around"]},
        {"params": kinds["embedding"], "lr": embedding_lr},
        {"params": kinds["blocks"]},
    ]
    return groups


def _kind(name: str) -> str:
    for kind in ("embedding", "blocks"):
        if name.startswith(f"lm.{kind}."):
            return kind
    return "around"


def clip_update(
    trainer: Trainer,
    optimizer: Optimizer,
    parameters: list[nn.Parameter],
    *,
    limit: float | None,
    update: int,
) -> dict[str, Tensor | float]:
    """Clip gradients to a global norm of ``limit``, and refuse those that are not finite.

    Under float16 an update that is not finite is left out instead, and the loss is scaled by less
    from then on; the schedule goes on all the same, as the reference's does.

    Returns:
        what is to be recorded of the update.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
        scaler.unscale_(optimizer)  # Lightning leaves that to a fused optimizer's step
    norm = clip_gradients(parameters, limit)
    if scaler is None:
        require_finite_norm(norm, whose="the language model", update=update)
        return {"gradient_norm": norm}
    finite = bool(norm.isfinite())  # the scaler waits for the device all the same
    values: dict[str, Tensor | float] = {"gradient_norm": norm} if finite else {}
    return values | {"gradient_scale": scaler.get_scale(), "skipped": float(not finite)}
