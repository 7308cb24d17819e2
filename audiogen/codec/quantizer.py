"""Residual vector quantization: K codebooks, each quantizing what the previous ones left over."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.codec.codebook import Codebook
from audiogen.codec.health import code_statistics
from audiogen.codec.ranks import Share, in_group, same_on_ranks
from audiogen.codec.settings import check_averages, check_sizes


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """Result of one pass through the quantizer."""

    latents: Tensor  # float [B, D, T], what the decoder sees; gradients pass straight through
    codes: Tensor  # int64 [B, K, T]
    commitment_loss: Tensor  # float [], mean over the codebooks
    bandwidth: float  # bits per frame; the codec knows the frame rate


class ResidualVectorQuantizer(nn.Module):
    """K codebooks applied in sequence, learned by moving averages.

    Args:
        dim: D, width of a latent.
        num_codebooks: K.
        codebook_size: N, entries per codebook.
        decay: of the moving averages, per step.
        kmeans_init: start each codebook by k-means on the first training batch; otherwise from
            random entries.
        kmeans_iters: iterations of that.
        dead_code_threshold: an entry whose average count falls below this is replaced by a random
            latent of the batch; 0 never replaces.
        dead_code_unit: ``"mean"``: the threshold is a share of the mean count per entry, whatever
            the batch; ``"count"``: it is a number of latents per step and process.
        codebook_dropout: train with a random number of codebooks per step, 1 to K.
        paper_exact: learn as the reference does, see below.
        seed: of ``generator``, from which k-means, restarts and codebook dropout draw.

    ``bypass = True`` passes latents through untouched: the first steps of an autoencoder are
    better spent without quantization. It is not part of the state: whoever sets it, by step
    number, sets it again after a restart.

    Everything else that training changes is in the state dict, the generator included, so a run
    continues exactly.

    A step learns from the batches of all processes, and all hold the same bits afterwards: how
    many there are, and into how many forward passes (`one_step`) each has cut its share, changes
    nothing but rounding.

    ``paper_exact=True`` brings back what AudioCraft 1.4.0a2 does, with which published codecs were
    trained. As described in notes on that version (residual quantizer, codec solver), and checked
    against arrays that it computed:

    1. An entry below the threshold is replaced, and the average of the same step puts it back:
       dead codes are never revived. The random draws for it do happen. Published thresholds are
       counts (2 latents per step and process) and have no effect.
    2. After k-means the running sums are the centroids, not centroid times count.
    3. K-means runs at the first forward pass in eval mode too.
    4. K-means sees the batch of the first process only; the others take its result.
    5. Averages are of the batch of each process, whose codebooks differ within a step; the
       training averages all floating-point buffers over the processes after each backward pass,
       so ``cluster_size`` is a mean per process (otherwise it is the sum over all).
    6. `Codec.frame_rate` is the sample rate divided by the hop without the remainder, by which
       durations become frames.
    7. Outside the codec the training module reads ``codec.paper_exact``: the balancer scales by
       process and starts anew at every resume.

    Source: SoundStream (arXiv:2107.03312), section III-C.
    """

    restarts: Tensor

    def __init__(
        self,
        *,
        dim: int,
        num_codebooks: int,
        codebook_size: int,
        decay: float = 0.99,
        kmeans_init: bool = True,
        kmeans_iters: int = 50,
        dead_code_threshold: float = 0.3,
        dead_code_unit: Literal["mean", "count"] = "mean",
        codebook_dropout: bool = False,
        paper_exact: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(num_codebooks, codebook_size, kmeans_iters)
        check_averages(decay, dead_code_threshold, dead_code_unit)
        self.dim = dim
        self.codebook_size = codebook_size
        self.codebook_dropout = codebook_dropout
        self.paper_exact = paper_exact
        self.generator = torch.Generator().manual_seed(seed)
        self.bypass = False
        self._collected: list[list[tuple[Tensor, Tensor, int]]] | None = None  # see `one_step`
        self._drawn: int | None = None  # codebooks of this step, with codebook dropout
        self._agreed = False  # with the other processes, on entries and generator
        self.active_codebooks = num_codebooks
        books = [
            Codebook(
                dim=dim,
                size=codebook_size,
                decay=decay,
                kmeans_init=kmeans_init,
                kmeans_iters=kmeans_iters,
                dead_code_threshold=dead_code_threshold,
                dead_code_unit=dead_code_unit,
                generator=self.generator,
                paper_exact=paper_exact,
            )
            for _ in range(num_codebooks)
        ]
        self.codebooks = cast("Sequence[Codebook]", nn.ModuleList(books))
        self.register_buffer("restarts", torch.zeros(num_codebooks, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_fill_training_state)

    @property
    def num_codebooks(self) -> int:
        """K, all codebooks; ``active_codebooks`` of them are used to encode."""
        return len(self.codebooks)

    @property
    def computes_in(self) -> torch.dtype:
        """What residuals are computed in: the dtype of the entries, and float32 at least."""
        return torch.promote_types(self.codebooks[0].embed.dtype, torch.float32)

    def _check_learns(self) -> None:
        if (found := self.codebooks[0].embed.dtype) != torch.float32:
            raise ValueError(
                f"codebooks learn in torch.float32, these are {found}: call .float() before "
                "training (autocast may stay on), or .eval() to use them as they are"
            )

    def forward(self, latents: Tensor) -> Quantized:
        """Quantize latents [B, D, T]; in training mode also learn from them.

        The loss pulls latents to their entries; the entries follow by averaging, not by gradient.
        """
        if self.training:
            self._check_learns()
        with torch.autocast(latents.device.type, enabled=False):
            latents = latents.to(self.computes_in)
            if self.bypass:
                return self._pass_through(latents)
            return self._quantize(latents)

    def _pass_through(self, latents: Tensor) -> Quantized:
        batch, _, frames = latents.shape
        codes = torch.zeros(
            batch, self.active_codebooks, frames, dtype=torch.int64, device=latents.device
        )
        zero = latents.new_zeros(())
        return Quantized(latents=latents, codes=codes, commitment_loss=zero, bandwidth=self.bits())

    def _quantize(self, latents: Tensor) -> Quantized:
        batch, dim, frames = latents.shape
        flat = latents.transpose(1, 2).reshape(-1, dim)
        residual, losses, codes = flat, [], []
        share = self._share(batch, frames, latents.device) if self._needs_share() else None
        used = self._draw_num_codebooks(latents.device)
        for k in range(used):
            indices, entries = self._step(k, residual.detach(), batch, share)
            losses.append(F.mse_loss(residual, entries))
            codes.append(indices.view(batch, frames))
            residual = residual - entries
        total = (flat - residual).detach().view(batch, frames, dim).transpose(1, 2)
        return Quantized(
            latents=latents + (total - latents).detach(),
            codes=torch.stack(codes, dim=1),
            commitment_loss=torch.stack(losses).mean(),
            bandwidth=self.bits(used),
        )

    def _step(
        self, k: int, residual: Tensor, batch: int, share: Share | None
    ) -> tuple[Tensor, Tensor]:
        """Codes [M] and entries [M, D] of one codebook, before it learns from this batch."""
        codebook = self.codebooks[k]
        if share is not None and not codebook.is_inited:
            codebook.start(residual, self.generator, share)
        indices = codebook.encode(residual)
        entries = codebook.decode(indices).to(residual.dtype)
        if self.training:
            if self._collected is None:
                self._learn(k, residual, indices, share)
            elif torch.is_grad_enabled():
                self._collected[k].append((residual, indices, batch))
        return indices, entries

    def _learn(self, k: int, residual: Tensor, indices: Tensor, share: Share | None) -> None:
        """Let codebook k learn from residuals [M, D] and their codes [M]."""
        codebook = self.codebooks[k]
        self.restarts[k] += codebook.update(residual, indices, self.generator, share)

    def _needs_share(self) -> bool:
        """Whether this pass starts codebooks or learns, from latents of all processes."""
        if self.training and self._collected is None:
            return True
        started = all(codebook.is_inited for codebook in self.codebooks)
        return (self.training or self.paper_exact) and not started

    def _share(self, items: int, rows: int, device: torch.device) -> Share:
        """Return the part of the global batch that lies here; the first call makes ranks agree."""
        if in_group() and not self._agreed:
            for buffer in self.buffers():
                buffer.copy_(same_on_ranks(buffer))
            state = same_on_ranks(self.generator.get_state().to(device))
            self.generator.set_state(state.cpu())
            for codebook in self.codebooks:
                codebook.forget_started()
            self._agreed = True
        if self.paper_exact:
            return Share.alone(items * rows)
        return Share.among_ranks(items, rows, device)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Learn once, at the end, from all forward passes inside, as from one batch of their items.

        Until then the codebooks stand still, and codebook dropout draws once. Codebooks that have
        not started are started by the first pass alone: call `start` before. Passes without
        gradient learn nothing. With ``paper_exact`` every pass learns on its way, as it does
        outside: what comes after it in a step finds the codebooks moved.
        """
        if self.paper_exact:
            yield
            return
        self._collected = [[] for _ in self.codebooks]
        try:
            yield
            collected, self._collected = self._collected, None
            self._learn_collected(collected)
        finally:
            self._collected = self._drawn = None

    def _learn_collected(self, collected: list[list[tuple[Tensor, Tensor, int]]]) -> None:
        if not collected[0]:
            return
        items = sum(batch for _, _, batch in collected[0])
        rows = sum(len(residual) for residual, _, _ in collected[0])
        if rows % items:  # passes of different lengths: there is no order to keep
            items = rows
        share = self._share(items, rows // items, collected[0][0][0].device)
        for k, parts in enumerate(collected):
            if parts:
                residuals, indices, _ = zip(*parts, strict=True)
                self._learn(k, torch.cat(residuals), torch.cat(indices), share)

    def _draw_num_codebooks(self, device: torch.device) -> int:
        if not (self.codebook_dropout and self.training):
            return self.active_codebooks
        if self._drawn is None:
            drawn = torch.randint(1, self.active_codebooks + 1, (1,), generator=self.generator)
            # The codebooks' averages are collective: all processes use as many of them.
            self._drawn = int(same_on_ranks(drawn.to(device)) if in_group() else drawn)
        used, self._drawn = self._drawn, self._drawn if self._collected is not None else None
        return used

    @torch.no_grad()
    def start(self, latents: Tensor, *, per_update: int | None = None) -> None:
        """Run k-means of every codebook on latents [B, D, T], better many more than one batch.

        Without this call the first training batch serves, which is small for large codebooks.
        Several processes all call with the same latents.

        Args:
            latents: B * T of them.
            per_update: latents of the updates to come. The start then weighs as one of them in
                the moving averages; by its own size it would hold the entries back for
                log(B * T / per_update) / (1 - decay) updates. None is B * T.
        """
        residual = latents.to(self.computes_in).transpose(1, 2).reshape(-1, self.dim)
        for codebook in self.codebooks:
            codebook.start(residual, self.generator)
            if per_update is not None and not self.paper_exact:
                codebook.reweigh(per_update / len(residual))
            residual = residual - codebook.decode(codebook.encode(residual))

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """Map latents [B, D, T] to codes int64 [B, K, T] of the active codebooks."""
        batch, dim, frames = latents.shape
        with torch.autocast(latents.device.type, enabled=False):
            residual = latents.to(self.computes_in).transpose(1, 2).reshape(-1, dim)
            codes = []
            for codebook in self.codebooks[: self.active_codebooks]:
                indices = codebook.encode(residual)
                residual = residual - codebook.decode(indices)
                codes.append(indices.view(batch, frames))
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Map integer codes [B, K', T] to latents float [B, D, T]; K' may be fewer than all."""
        codes = codes.long()  # token shards hold 16 bits
        total = self.codebooks[0].decode(codes[:, 0])
        for k in range(1, codes.shape[1]):
            total = total + self.codebooks[k].decode(codes[:, k])
        return total.transpose(1, 2)

    def bits(self, num_codebooks: int | None = None) -> float:
        """Bits per frame of so many codebooks; of the active ones by default."""
        return (num_codebooks or self.active_codebooks) * math.log2(self.codebook_size)

    def usage(self) -> dict[str, Tensor]:
        """Statistics per codebook, float [K] each, from the moving average of the counts.

        ``entropy`` (bits), ``perplexity`` and ``efficiency`` as in `code_statistics`, ``usage``
        (share of entries with at least 1 % of the mean count) and ``restarts`` (entries replaced
        since the beginning).
        """
        counts = torch.stack([codebook.cluster_size for codebook in self.codebooks])
        alive = counts >= 0.01 * counts.mean(dim=1, keepdim=True)
        statistics = code_statistics(counts) | {"usage": alive.float().mean(dim=1)}
        return statistics | {"restarts": self.restarts.float()}

    def get_extra_state(self) -> Tensor:
        """State of the generator, uint8, so that it can sit among the tensors of a checkpoint."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Restore `get_extra_state`."""
        self.generator.set_state(state.cpu())


def _fill_training_state(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Keep the present generator and restart counts when a state dict was made for inference only.

    They do not change what a codec computes, and published codecs do not have them.
    """
    assert isinstance(module, ResidualVectorQuantizer)
    own: Mapping[str, Tensor] = {
        "restarts": module.restarts,
        "_extra_state": module.get_extra_state(),
    }
    for name, value in own.items():
        state_dict.setdefault(prefix + name, value)
