"""A progress bar over the whole run."""

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm


class StepProgress(ProgressBar):
    """One bar over all updates of the run, with the time left; on stderr."""

    def __init__(self, *, every: int = 10) -> None:
        super().__init__()
        self.every = every  # updates between two refreshes; reading a loss waits for the device
        self._enabled = True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Show nothing, which Lightning asks of all ranks but the first."""
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar at the update from which the run continues."""
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._bar = tqdm(
            total=total,
            initial=trainer.global_step,
            desc="training",
            unit="update",
            file=sys.stderr,
            disable=not self._enabled,
            # On a terminal ten times a second; in a log file one line every half minute.
            mininterval=0.1 if sys.stderr.isatty() else 30.0,
            dynamic_ncols=True,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; the loss beside it is the last one that was logged."""
        step = trainer.global_step
        if self._bar is None or (step % self.every and step != trainer.max_steps):
            return
        shown = getattr(pl_module, "shown", {})
        self._bar.set_postfix({k: f"{v:.4g}" for k, v in shown.items()}, refresh=False)
        self._bar.update(step - self._bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: Any) -> None:
        """Close the bar, so that the error begins on its own line."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
