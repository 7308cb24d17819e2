"""One codebook: nearest entry, k-means start, moving averages, restart of dead entries."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.codec.ranks import Share, same_on_ranks

SMOOTHING = 1e-5  # Laplace smoothing of the counts: an unused entry must not divide by zero
POOL = 1 << 16  # most latents that k-means sees, of all processes together
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
    ones = latents.new_ones(len(indices))  # bincount would wait for a GPU
    counts = latents.new_zeros(size).index_add_(0, indices, ones)
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


def draw_rows(total: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw ``count`` of ``total`` rows, int64 [count]; without replacement when there are enough.

    The generator lives on the CPU, so that a run continues the same on another device.
    """
    if total >= count:
        return torch.randperm(total, generator=generator)[:count]
    return torch.randint(total, (count,), generator=generator)


def orthogonality_loss(entries: Tensor) -> Tensor:
    """How far float [N, D] entries are from being orthogonal: 0 if they are, float [].

    The mean squared cosine between any two of them, less the 1 / N of each with itself. AudioCraft
    can regularize codebooks by it; the published weight is 0, and no training here uses it.
    Source: arXiv:2112.00384, equation 2.
    """
    cosines = F.normalize(entries, dim=1) @ F.normalize(entries, dim=1).t()
    return cosines.square().mean() - 1 / len(entries)


class Codebook(nn.Module):
    """N entries learned as moving averages of the latents assigned to them.

    Buffers: ``embed`` [N, D] the entries; ``cluster_size`` [N] moving average of the latents per
    step that chose an entry; ``embed_avg`` [N, D] of their sum; ``inited`` [1], 1 once k-means has
    run. Several processes learn from the latents of all of them, and hold the same bits.
    ``paper_exact`` as in `ResidualVectorQuantizer`.
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
        paper_exact: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.decay = decay
        self.kmeans_iters = kmeans_iters
        self.dead_code_threshold = dead_code_threshold
        self.dead_code_unit = dead_code_unit
        self.paper_exact = paper_exact
        entries = torch.randn(size, dim, generator=generator)
        self.register_buffer("embed", entries)
        self.register_buffer("embed_avg", entries.clone())
        self.register_buffer("cluster_size", torch.ones(size))
        self.register_buffer("inited", torch.tensor([0.0 if kmeans_init else 1.0]))
        self._known_inited = not kmeans_init  # spares a device synchronization per step

    def encode(self, latents: Tensor) -> Tensor:
        """Map float [M, D] to int64 [M], compared in the dtype of the latents."""
        return nearest(latents, self.embed.to(latents.dtype))

    def decode(self, codes: Tensor) -> Tensor:
        """Map int64 [...] to float [..., D]."""
        return F.embedding(codes, self.embed)

    @property
    def is_inited(self) -> bool:
        """Whether the entries come from data rather than from chance."""
        if not self._known_inited:
            self._known_inited = bool(self.inited.item() > 0)
        return self._known_inited

    def forget_started(self) -> None:
        """Look at the buffer again: something wrote to it."""
        self._known_inited = False

    @torch.no_grad()
    def start(
        self, latents: Tensor, generator: torch.Generator, share: Share | None = None
    ) -> None:
        """Set the entries by k-means on float [M, D], and on those of the other processes.

        Without ``share`` every process brings the same latents. The sums start as entry times
        count. The reference starts them as the entry alone, which its next average divides by the
        count: the codebook shrinks towards zero at the first step.
        """
        latents = _pool(latents, generator, share or Share.alone(len(latents)))
        means = latents[draw_rows(len(latents), self.size, generator).to(latents.device)]
        means, counts = kmeans(latents, means, iterations=self.kmeans_iters)
        self.embed.copy_(same_on_ranks(means))
        self.cluster_size.copy_(same_on_ranks(counts))
        weight = torch.ones_like(self.cluster_size) if self.paper_exact else self.cluster_size
        self.embed_avg.copy_(self.embed * weight[:, None])
        self.inited.fill_(1)

    @torch.no_grad()
    def reweigh(self, factor: float) -> None:
        """Let the past weigh ``factor`` times as much; the entries stay where they are."""
        self.cluster_size.mul_(factor)
        self.embed_avg.mul_(factor)

    @torch.no_grad()
    def update(
        self,
        latents: Tensor,
        codes: Tensor,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Move entries towards the latents [M, D] that chose them; return restarts, int64 [].

        One sum over the processes, always: candidates for a restart travel with the averages, so
        no process has to know whether another one needs them. Latents that are not finite teach
        nothing; the losses of such a step are not finite either, and stop the training.
        """
        share = share or Share.alone(len(latents))
        broken = (~latents.isfinite()).any().to(latents.dtype)
        latents = latents.nan_to_num()
        parts = [*cluster_sums(latents, codes, self.size), broken]
        if self.dead_code_threshold:
            drawn = draw_rows(share.total, self.size, generator)
            parts.append(share.pick(latents, drawn))
        counts, sums, broken, *fresh = share.sum(*parts)
        finite = broken == 0
        self._average(counts, sums, finite * (1 - self.decay))
        if self.paper_exact or not fresh:
            return torch.zeros((), dtype=torch.int64, device=latents.device)
        return self._restart_dead(fresh[0], finite, processes=len(share.sizes))

    def _average(self, counts: Tensor, sums: Tensor, weight: Tensor) -> None:
        self.cluster_size.lerp_(counts, weight)
        self.embed_avg.lerp_(sums, weight)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + SMOOTHING) / (total + self.size * SMOOTHING) * total
        self.embed.copy_(self.embed_avg / smoothed[:, None])

    def _restart_dead(self, fresh: Tensor, finite: Tensor, *, processes: int) -> Tensor:
        """Replace rarely chosen entries by random latents of the batch, with an average history.

        All three buffers are set after the averages of this step, so nothing undoes the restart:
        the new entry is what the next step compares against.
        """
        mean = self.cluster_size.mean()
        limit = self.dead_code_threshold * (mean if self.dead_code_unit == "mean" else processes)
        dead = (self.cluster_size < limit) & finite
        self.cluster_size.copy_(torch.where(dead, mean, self.cluster_size))
        self.embed.copy_(torch.where(dead[:, None], fresh, self.embed))
        self.embed_avg.copy_(torch.where(dead[:, None], fresh * mean, self.embed_avg))
        return dead.sum()

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.forget_started()


def _pool(latents: Tensor, generator: torch.Generator, share: Share) -> Tensor:
    """Collect the latents of all processes, or `POOL` random ones if there are more."""
    total = share.total
    if total <= POOL and len(share.sizes) == 1:
        return latents
    drawn = torch.arange(total) if total <= POOL else draw_rows(total, POOL, generator)
    return share.sum(share.pick(latents, drawn))[0]
