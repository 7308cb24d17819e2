"""When the codebooks of a codec in training start, and from which latents."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.training.data import DataModule
from audiogen.training.precision import full_precision
from audiogen.training.ranks import gather_items, world_size


class CodebookStart:
    """Passes latents through during the warm-up; then starts the codebooks from the global batch.

    The reference leaves that to the first forward pass, of the first process.

    Args:
        codec: of these codebooks.
        warmup_steps: first updates without quantization. After them k-means sees the first items
            of the training data; without a warm-up the batch of the first update.
        num_items: of these first items.
    """

    def __init__(self, codec: Codec, *, warmup_steps: int, num_items: int) -> None:
        self.codec, self.warmup_steps, self.num_items = codec, warmup_steps, num_items

    def prepare(
        self, targets: Sequence[Tensor], *, update: int, data: Callable[[], DataModule]
    ) -> None:
        """Set the quantizer for the ``update`` to come.

        Args:
            targets: float [b, C, T], the parts of its batch that lie here; none if not known yet.
            update: how many came before.
            data: gives the training data, asked for only if the warm-up has just ended.
        """
        quantizer = self.codec.quantizer
        started = all(codebook.is_inited for codebook in quantizer.codebooks)
        quantizer.bypass = update < self.warmup_steps and not started
        if started or quantizer.bypass:
            return
        if self.warmup_steps and update == self.warmup_steps:
            self._start_from_data(data())
        elif targets and not quantizer.paper_exact:
            quantizer.start(gather_items(self._latents(targets)))

    def _start_from_data(self, data: DataModule) -> None:
        device = self.codec.quantizer.restarts.device
        batches = data.first_batches(self.num_items)
        latents = self._latents(batch["waveform"].to(device) for batch in batches)
        items = data.batch_size * world_size()
        self.codec.quantizer.start(latents, per_update=items * latents.shape[-1])

    @torch.no_grad()
    def _latents(self, waveforms: Iterable[Tensor]) -> Tensor:
        """Encode in float32: a run that is continued does so before autocast begins."""
        latents = []
        for waveform in waveforms:
            with full_precision(waveform):
                latents.append(self.codec.encode_latents(waveform)[0])
        return torch.cat(latents)
