"""How much a language model computes per update, and what share of the device that is."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audiogen.training.ranks import world_size

log = logging.getLogger(__name__)

BACKWARD = 2  # a backward pass multiplies twice for each product of the forward pass
SIDE = 4096  # of the matrices that the rate is measured with; large enough for any device
ON_CPU = 1024


class Throughput:
    """Counts what was computed between two rows of the history.

    Args:
        config: `TokenLM.config`.
        rate: FLOP/s of one device; "measured" measures it, None leaves the share out.
    """

    def __init__(self, config: Mapping[str, Any], *, rate: float | str | None) -> None:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not (rate in (None, "measured") or (number and 0 < float(rate) < math.inf)):
            raise ValueError(
                f"matrix_rate must be FLOP/s of one device, 'measured' or null, got {rate!r}"
            )
        self.config = config
        self.rate = rate
        self.peak = float(rate) if isinstance(rate, int | float) else math.nan
        self._frames, self._flops = 0, 0.0

    def begin(self, device: torch.device, precision: str) -> None:
        """Find out what there is to be had of ``device``, and say so."""
        dtype = {"bf16": torch.bfloat16, "16-m": torch.float16}.get(precision[:4], torch.float32)
        if self.rate == "measured":
            self.peak = measured_matrix_rate(device, dtype)
        if self.rate is not None:
            how = "as measured now" if self.rate == "measured" else "as given by matrix_rate"
            log.info(
                "train/mfu is the share of %.4g FLOP/s per device, %s, in %s",
                self.peak,
                how,
                str(dtype).removeprefix("torch."),
            )

    def count(self, codes: Tensor, *, steps: int, text_positions: int) -> None:
        """Add a pass forward and backward over int64 [B, K, T], read in ``steps`` steps."""
        items = len(codes)
        self._frames += items * codes.shape[-1]
        self._flops += training_flops(
            self.config, items=items, steps=steps, text_positions=text_positions
        )

    def pop(self, seconds: float, *, frame_rate: float) -> dict[str, float]:
        """Return the rates over ``seconds``, of all processes, and forget the counts.

        Frames are those of the batches, padding included.
        """
        frames = self._frames * world_size() / seconds
        share = self._flops / seconds / self.peak
        self._frames, self._flops = 0, 0.0
        rates = {
            "train/frames_per_second": frames,
            "train/sound_seconds_per_second": frames / frame_rate,
        }
        return rates if self.rate is None else rates | {"train/mfu": share}


def training_flops(
    config: Mapping[str, Any], *, items: int, steps: int, text_positions: int
) -> float:
    """Count the floating-point operations of forward and backward pass over one batch.

    Matrix products only, two operations per multiply-add; what is recomputed to save memory and
    the masked half of the causal attention do not count.

    Args:
        config: `TokenLM.config`.
        items: B.
        steps: S, interleaved steps per item.
        text_positions: L, padded text positions per item.

    Source: the counts of the layers; for 32 text positions and 504 steps audiogen-medium comes to
    9.93e9 per step.

    >>> small = {"dim": 1024, "num_layers": 24, "hidden_scale": 4, "num_codebooks": 4,
    ...          "codebook_size": 2048, "text_dim": 1024}
    >>> round(training_flops(small, items=1, steps=504, text_positions=32) / 504 / 1e9, 2)
    2.27
    """
    dim = config["dim"]
    projections = 4 + 2 + 2 * config["hidden_scale"]  # self, cross without its text half, MLP
    attended = steps / 2 + text_positions
    per_step = config["num_layers"] * (projections * dim * dim + 2 * attended * dim)
    per_step += config["num_codebooks"] * config["codebook_size"] * dim
    per_text = config["num_layers"] * 2 * dim * dim + config["text_dim"] * dim
    products = steps * per_step + text_positions * per_text
    return 2.0 * (1 + BACKWARD) * items * products


def measured_matrix_rate(
    device: torch.device, dtype: torch.dtype, *, seconds: float = 0.2
) -> float:
    """Multiply square matrices for a while and return the best rate, in FLOP/s.

    Draws no random numbers. On a CPU other work on the machine lowers what it finds.
    """
    side = ON_CPU if device.type == "cpu" else SIDE
    matrix = torch.ones(side, side, device=device, dtype=dtype)
    best, end = 0.0, time.perf_counter() + seconds
    _wait(device)
    while time.perf_counter() < end:
        begun = time.perf_counter()
        for _ in range(4):
            torch.mm(matrix, matrix)
        _wait(device)
        best = max(best, 4 * 2 * side**3 / (time.perf_counter() - begun))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
