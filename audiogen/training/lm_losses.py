"""How the losses of parts and processes become those of one update, and what they are called."""

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from audiogen.lm.model import TokenLM
from audiogen.training.ranks import world_size


def read_steps(lm: TokenLM, num_frames: int, *, complete: bool) -> int:
    """Return how many interleaved steps `TokenLM.predict` reads of T frames."""
    if complete:
        return lm.pattern.layout(num_frames).shape[1] - 1  # nothing is predicted behind the last
    return lm.pattern.count_valid_steps(num_frames) - 1


def count_targets(lm: TokenLM, mask: Tensor, *, complete: bool) -> Tensor:
    """Count the codes that are predicted, float64 [K].

    Args:
        lm: the model that predicts.
        mask: bool [B, K, T], true where a code is a target.
        complete: as for `TokenLM.predict`, which gives a delayed codebook's last frames no
            prediction otherwise.
    """
    if not complete:
        frames = mask.shape[-1]
        held = lm.pattern.layout(frames)[:, : 1 + read_steps(lm, frames, complete=False)]
        reached = held.amax(dim=1, keepdim=True)  # -1 for a codebook that is never reached
        mask = mask & (torch.arange(frames) <= reached).to(mask.device)
    return mask.sum(dim=(0, 2)).double()


def shares(counts: Sequence[Tensor], *, of_all: bool) -> list[Tensor]:
    """Say how much the mean of each part weighs in the mean of the whole update.

    Processes average their gradients, so a process with fewer targets than the others weighs less
    than one; over the processes the shares have a mean of one.

    Args:
        counts: float64 [K] each, the targets of every part of this process.
        of_all: whether the targets of the other processes count; all processes say the same.

    Returns:
        float32 [K] each.
    """
    total, processes = torch.stack(list(counts)).sum(dim=0), 1
    if of_all and world_size() > 1:
        dist.all_reduce(total)
        processes = world_size()
    return [(processes * count / total).float() for count in counts]


def by_codebook(losses: Tensor, kind: str = "") -> dict[str, Tensor]:
    """Name the losses float [K] of the codebooks: ``loss_codebook_0``, or ``loss_KIND_..``."""
    prefix = f"loss_{kind}" if kind else "loss"
    return {f"{prefix}_codebook_{k}": loss for k, loss in enumerate(losses.detach())}


def with_means(values: Mapping[str, float]) -> dict[str, float]:
    """Add to losses by codebook their mean and the perplexities, which are their exponentials.

    The mean is plain, not weighted by targets, as the loss to minimize is.

    >>> values = with_means({"loss_codebook_0": 0.0, "loss_codebook_1": 1.0})
    >>> values["loss"], values["perplexity_codebook_0"]
    (0.5, 1.0)
    """
    found = dict(values)
    groups: dict[str, list[float]] = {}
    for name, value in values.items():
        kind, codebook, number = name.rpartition("_codebook_")
        if codebook and kind.startswith("loss"):
            groups.setdefault(kind, []).append(value)
            perplexity = f"perplexity{kind.removeprefix('loss')}_codebook_{number}"
            found[perplexity] = _exp(value)
    for kind, losses in groups.items():
        found[kind] = sum(losses) / len(losses)
        found[f"perplexity{kind.removeprefix('loss')}"] = _exp(found[kind])
    return found


def _exp(value: float) -> float:
    """Return e to the power of ``value``, infinite where that is too large for a float."""
    return float(torch.tensor(value, dtype=torch.float64).exp())
