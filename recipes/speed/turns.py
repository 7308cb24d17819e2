"""Updates of a real training by Lightning, each followed by something to compare it with."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from recipes.speed.timing import clock


class Turns(Callback):
    """Times every update but the first, and runs something else, timed too, after each."""

    def __init__(self, other: Callable[[], object], *, device: str = "cpu") -> None:
        self.other = other
        self.now = clock(device)
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.after_first: Callable[[Any], object] = lambda module: None

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock."""
        self.began = self.now()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        """Stop it; take the other's turn."""
        middle = self.now()
        self.other()
        if rest[-1] == 0:
            self.after_first(pl_module)
        else:
            self.ours.append(middle - self.began)
            self.theirs.append(self.now() - middle)


def fit_quietly(
    module: LightningModule,
    data: Any,
    *,
    updates: int,
    precision: str,
    callbacks: list[Callback],
    device: str = "cpu",
) -> None:
    """Train on a loader or data module, leaving nothing behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few loader processes, no validation: as meant
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = Trainer(
            max_steps=updates,
            max_epochs=-1,
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=precision,  # type: ignore[arg-type]
            logger=False,
            limit_val_batches=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
        )
        trainer.fit(module, data)
