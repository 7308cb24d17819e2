"""What both training modules share: counting updates, and writing means without a sync per step."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from audiogen.training.ranks import names_of_all


class Means:
    """Running means of named scalars, kept on the device until somebody asks."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float], *, weight: float = 1.0) -> None:
        """Add scalars; names may differ from call to call."""
        for name, value in values.items():
            value = torch.as_tensor(value).detach().double() * weight
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def pop(self) -> dict[str, float]:
        """Return the means, in one transfer, and forget them."""
        if not self._sums:
            return {}
        device = next(iter(self._sums.values())).device
        sums = torch.stack([value.to(device) for value in self._sums.values()]).tolist()
        means = {name: s / self._weights[name] for name, s in zip(self._sums, sums, strict=True)}
        self._sums, self._weights = {}, {}
        return means

    def all_finite(self) -> bool:
        """Say whether no sum is NaN or infinite."""
        return all(bool(value.isfinite()) for value in self._sums.values())

    def totals(self) -> dict[str, tuple[Tensor, float]]:
        """Return sum and weight by name, so that ranks or restarts can go on from them."""
        return {name: (value, self._weights[name]) for name, value in self._sums.items()}

    def restore(self, totals: Mapping[str, tuple[Tensor, float]]) -> None:
        """Go on from `totals`."""
        self._sums = {name: value for name, (value, _) in totals.items()}
        self._weights = {name: weight for name, (_, weight) in totals.items()}


class RecordingModule(LightningModule):
    """A module that counts its updates and writes ``train/`` and ``val/`` values to all loggers.

    The step of every row is the number of finished generator updates, whatever Lightning counts.
    Rows of the training hold means since the last row, over all ranks.
    """

    average_after = 0  # updates before which averaging weights makes no sense

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.shown: dict[str, float] = {}  # what the progress bar shows
        self._train = Means()
        self._val = Means()
        self._clock: tuple[float, int] | None = None  # when and at which update the last row was
        self._paused = 0.0  # when a validation began

    def finish_update(self, values: Mapping[str, Tensor | float]) -> None:
        """Count one update and write a row every ``log_every_n_steps``."""
        self.updates += 1
        self._train.add(values)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.updates % every == 0:
            if self.trainer.world_size > 1:
                self._train.restore(self._summed_over_ranks(self._train.totals()))
            means = self.derived(self._train.pop())
            self._require_finite(means.get("loss", 0.0))
            self.shown = {"loss": means["loss"]} if "loss" in means else {}
            row = {f"train/{name}": value for name, value in means.items()}
            self.write(row | self.extra_values() | self._speed())

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        """Return the means of a row, or of a validation, with what follows from them."""
        return means

    def speed(self, seconds: float) -> dict[str, float]:
        """Return values that the clock decides, of the ``seconds`` since the last row."""
        return {}

    def extra_values(self) -> dict[str, float]:
        """Return values that are only worth computing when a row is written."""
        return {}

    def write(self, values: Mapping[str, float]) -> None:
        """Write values at the present update to every logger."""
        row = {"epoch": self._epoch(), **values}
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.updates)

    def add_validation(self, values: Mapping[str, Tensor | float], *, weight: float) -> None:
        """Add the values of a validation batch of ``weight`` items."""
        self._val.add(values, weight=weight)

    def on_validation_epoch_end(self) -> None:
        """Write the means over all items of all ranks.

        This hook and no later one: the checkpoint of this update is saved right after it.
        """
        totals = self._val.totals()
        self._val = Means()
        if self.trainer.world_size > 1:
            totals = self._summed_over_ranks(totals)
        means = {name: float(total) / weight for name, (total, weight) in totals.items()}
        values = {f"val/{name}": value for name, value in self.derived(means).items()}
        # For callbacks that watch a metric; the values are the same on all ranks already.
        self.log_dict(values, logger=False, sync_dist=self.trainer.world_size > 1)
        if not self.trainer.sanity_checking and self.trainer.state.fn == "fit":
            self.write(values)

    def on_validation_start(self) -> None:
        """Stop the clock: validation, with samples and checkpoints, is no training."""
        self._paused = time.perf_counter()

    def on_validation_end(self) -> None:
        """Let the clock go on."""
        if self._clock is not None:
            begun, updates = self._clock
            self._clock = (begun + time.perf_counter() - self._paused, updates)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the count and the unfinished means; refuse to save a run that has diverged."""
        if not self._train.all_finite():
            self._require_finite(math.nan)
        checkpoint["recording"] = {"updates": self.updates, "means": self._train.totals()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what `on_save_checkpoint` saved."""
        self.updates = checkpoint["recording"]["updates"]
        self._train.restore(checkpoint["recording"]["means"])

    def on_train_start(self) -> None:
        """Start the clock of the throughput, and cut a history that ran ahead of the checkpoint."""
        self._clock = (time.perf_counter(), self.updates)
        for logger in self.trainer.loggers:
            if hasattr(logger, "truncate"):
                logger.truncate(self.updates)

    def _summed_over_ranks(
        self, totals: Mapping[str, tuple[Tensor, float]]
    ) -> dict[str, tuple[Tensor, float]]:
        """Add up sums and weights; a rank may lack names, if its share held nothing to measure."""
        names = names_of_all(list(totals))
        own = [totals.get(name, (torch.zeros(()), 0.0)) for name in names]
        pairs = torch.tensor([[float(s), w] for s, w in own], dtype=torch.float64)
        pairs = self.trainer.strategy.reduce(pairs.to(self.device), reduce_op="sum")
        return {name: (pair[0], float(pair[1])) for name, pair in zip(names, pairs, strict=True)}

    def _speed(self) -> dict[str, float]:
        now = time.perf_counter()
        before, self._clock = self._clock, (now, self.updates)
        if before is None:
            return {}
        seconds = now - before[0]
        return {
            "speed/updates_per_second": (self.updates - before[1]) / seconds,
            **self.speed(seconds),
        }

    def _epoch(self) -> int:
        """Passes over the training data so far."""
        data = getattr(self.trainer, "datamodule", None)
        epoch = getattr(data, "epoch", None)
        return int(epoch(self.trainer.fit_loop.total_batch_idx + 1)) if epoch else 0

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} after update {self.updates}: the run has diverged; lower the "
                "learning rate or clip gradients, and remove the run folder to begin anew"
            )
