"""The draws of a whole call, made some steps ahead so that no step waits for them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from audiogen.lm.sampling import draw_noise

BLOCK_BYTES = 1 << 25  # at most, of draws made at once
BLOCK_STEPS = 16


class Noise:
    """The exponential variables that decide the races of a call; see `race`.

    At every step item ``i`` gets the next K * N draws of ``generators[i]``: the same as if they
    were drawn step by step, and no more of them than there are steps.

    Args:
        generators: B sources of randomness, on the CPU or on ``device``.
        shape: K and N.
        steps: how many times there will be a `next`.
        device: of the result.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        *,
        shape: tuple[int, int],
        steps: int,
        device: torch.device,
    ) -> None:
        self.generators, self.device = list(generators), device
        self.shape = (len(self.generators), *shape)
        self.left = steps
        bytes_per_step = 4 * len(self.generators) * shape[0] * shape[1]
        self.block_steps = max(1, min(BLOCK_STEPS, BLOCK_BYTES // bytes_per_step))
        self.ready: list[Tensor] = []

    def next(self) -> Tensor:
        """Return float32 [B, K, N] of the next step, on the device."""
        if not self.ready:
            self.ready = list(self._draw(min(self.block_steps, self.left)).unbind(0))[::-1]
        self.left -= 1
        return self.ready.pop()

    def _draw(self, steps: int) -> Tensor:
        """Draw for a number of steps: float32 [steps, B, K, N]."""
        source = self.generators[0].device
        crossing = source.type == "cpu" and self.device.type == "cuda"
        # Pinned memory of its own for every block: it is reused when its copy is done.
        block = torch.empty(steps, *self.shape, device=source, pin_memory=crossing)

        def fill(item: int) -> None:
            for step in block[:, item].unbind(0):
                draw_noise(step, self.generators[item])

        if crossing and len(self.generators) > 1:  # while the device computes
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
                list(threads.map(fill, range(len(self.generators))))
        else:
            for item in range(len(self.generators)):
                fill(item)
        return block.to(self.device, non_blocking=True)
