"""One codebook: nearest entry, k-means start, moving averages, restart of dead entries."""

from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

SMOOTHING = 1e-5  # Laplace smoothing of the counts: an unused entry must not divide by zero
CHUNK = 1 << 14  # latents compared at once: bounds the distance matrix of a long waveform


def nearest(latents: Tensor, entries: Tensor) -> Tensor:
    """Index of the closest entry of each latent: float [M, D] and [N, D] to int64 [M].

    Compares |e|^2 - 2 x.e, which orders entries as the squared distance does; the first of equals
    wins.
    """
    energy = entries.square().sum(dim=1)
    chunks = latents.split(CHUNK)
    found = [torch.addmm(energy, x, entries.t(), alpha=-2).argmin(dim=1) for x in chunks]
    return found[0] if len(found) == 1 else torch.cat(found)


def cluster_sums(latents: Tensor, indices: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Counts float [N] and sums float [N, D] of the latents [M, D] assigned to each entry."""
    counts = torch.bincount(indices, minlength=size).to(latents.dtype)
    sums = latents.new_zeros(size, latents.shape[1]).index_add_(0, indices, latents)
    return counts, sums


def kmeans(latents: Tensor, means: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from given means.

    Args:
        latents: float [M, D]; M may be smaller than N.
        means: float [N, D], where to start.
        iterations: how many times to assign and average.

    Returns:
        Means float [N, D] and the counts float [N] of the last assignment. A cluster that lost
        all its latents keeps its mean.
    """
    counts = latents.new_zeros(len(means))
    for _ in range(iterations):
        counts, sums = cluster_sums(latents, nearest(latents, means), len(means))
        averages = sums / counts.clamp(min=1)[:, None]
        means = torch.where(counts[:, None] > 0, averages, means)
    return means, counts


def draw_rows(latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Pick ``count`` random rows of [M, D]; without replacement when there are enough.

    The generator lives on the CPU, so that a run continues the same on another device.
    """
    total = len(latents)
    if total >= count:
        rows = torch.randperm(total, generator=generator)[:count]
    else:
        rows = torch.randint(total, (count,), generator=generator)
    return latents[rows.to(latents.device)]


def gather_items(rows: Tensor, batch: int) -> Tensor:
    """Join the rows [M, ...] of ``batch`` items per process to those of all items, in data order.

    Items are dealt to the processes in turn, so the joined rows are those of one process with the
    whole batch: k-means, averages and restarts then see what it would see.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    items = rows.reshape(batch, -1, *rows.shape[1:]).contiguous()
    parts = [torch.empty_like(items) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, items)
    return torch.stack(parts, dim=1).reshape(-1, *rows.shape[1:])


def same_on_ranks(value: Tensor) -> Tensor:
    """Take the value of the first process: atomic sums on a GPU round differently everywhere."""
    if dist.is_available() and dist.is_initialized():
        value = value.contiguous()
        dist.broadcast(value, src=0)
    return value


class Codebook(nn.Module):
    """N entries learned as moving averages of the latents assigned to them.

    Buffers: ``embed`` [N, D] the entries; ``cluster_size`` [N] moving average of the latents per
    step that chose an entry; ``embed_avg`` [N, D] of their sum; ``inited`` [1], 1 once k-means has
    run. Each of several processes calls with the latents of all of them (`gather_items`).
    Source: VQ-VAE (arXiv:1711.00937), appendix A.1.
    """

    embed: Tensor
    embed_avg: Tensor
    cluster_size: Tensor
    inited: Tensor

    def __init__(
        self,
        *,
        dim: int,
        size: int,
        decay: float,
        kmeans_init: bool,
        kmeans_iters: int,
        dead_code_threshold: float,
        dead_code_unit: Literal["mean", "count"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.size = size
        self.decay = decay
        self.kmeans_iters = kmeans_iters
        self.dead_code_threshold = dead_code_threshold
        self.dead_code_unit = dead_code_unit
        entries = torch.randn(size, dim, generator=generator)
        self.register_buffer("embed", entries)
        self.register_buffer("embed_avg", entries.clone())
        self.register_buffer("cluster_size", torch.ones(size))
        self.register_buffer("inited", torch.tensor([0.0 if kmeans_init else 1.0]))
        self._known_inited = not kmeans_init  # spares a device synchronization per step

    def encode(self, latents: Tensor) -> Tensor:
        """Map float [M, D] to int64 [M]."""
        return nearest(latents, self.embed)

    def decode(self, codes: Tensor) -> Tensor:
        """Map int64 [...] to float [..., D]."""
        return F.embedding(codes, self.embed)

    @property
    def is_inited(self) -> bool:
        """Whether the entries come from data rather than from chance."""
        if not self._known_inited:
            self._known_inited = bool(self.inited.item() > 0)
        return self._known_inited

    @torch.no_grad()
    def start(self, latents: Tensor, generator: torch.Generator) -> None:
        """Set the entries by k-means on float [M, D].

        The sums start as entry times count. The reference starts them as the entry alone, which
        its next average divides by the count: the codebook shrinks towards zero at the first step.
        """
        means = draw_rows(latents, self.size, generator)
        means, counts = kmeans(latents, means, iterations=self.kmeans_iters)
        self.embed.copy_(same_on_ranks(means))
        self.cluster_size.copy_(same_on_ranks(counts))
        self.embed_avg.copy_(self.embed * self.cluster_size[:, None])
        self.inited.fill_(1)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Move entries towards the latents [M, D] that chose them; return restarts, int64 []."""
        counts, sums = cluster_sums(latents, codes, self.size)
        joined = same_on_ranks(torch.cat([counts[:, None], sums], dim=1))
        self.cluster_size.lerp_(joined[:, 0], 1 - self.decay)
        self.embed_avg.lerp_(joined[:, 1:], 1 - self.decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + SMOOTHING) / (total + self.size * SMOOTHING) * total
        self.embed.copy_(self.embed_avg / smoothed[:, None])
        if self.dead_code_threshold == 0:
            return torch.zeros((), dtype=torch.int64, device=latents.device)
        return self._restart_dead(latents, generator)

    def _restart_dead(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Replace rarely chosen entries by random latents of the batch, with an average history.

        All three buffers are set after the averages of this step, so nothing undoes the restart:
        the new entry is what the next step compares against.
        """
        mean = self.cluster_size.mean()
        limit = self.dead_code_threshold * (mean if self.dead_code_unit == "mean" else 1.0)
        dead = self.cluster_size < limit
        fresh = draw_rows(latents, self.size, generator)  # the same on all processes
        self.cluster_size.copy_(torch.where(dead, mean, self.cluster_size))
        self.embed.copy_(torch.where(dead[:, None], fresh, self.embed))
        self.embed_avg.copy_(torch.where(dead[:, None], fresh * mean, self.embed_avg))
        return dead.sum()

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_inited = False  # the buffer may have changed
