"""Checkpoints: written whole or not at all, the newest whole one found again, two kept.

One is written every so many updates, after the validation that belongs to the update, and when the
process is asked to stop (Ctrl-C, SIGTERM, SIGUSR1). They are plain dicts that load with
weights_only=True.
"""

import logging
import os
import signal
import zipfile
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from audiogen.files import remove_unfinished, replacing

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
FOLDER = 0x10  # the bit of MS-DOS among the attributes of a zip's record
AGREE_EVERY = 10  # updates between the ranks asking each other whether one was told to stop


class StopRequested(Exception):  # noqa: N818  # not an error
    """The process was asked to stop, and a checkpoint was written first."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after update {step}")
        self.number = number


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write to a temporary file, sync it to disk, then rename: a kill leaves no half checkpoint."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save ``checkpoint`` at ``path``; the file is whole as soon as it has that name."""
        with replacing(path) as temporary, temporary.open("wb") as stream:
            torch.save(checkpoint, stream)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(Path(path).parent)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the highest step that can be read to its end, or None.

    A damaged one, cut by a full disk or a lost node, is passed over in favor of the one before.
    """
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True):
        if is_whole(path):
            return path
        log.warning("%s is damaged; continuing from an earlier checkpoint", path)
    return None


def is_whole(path: Path) -> bool:
    """Say whether every record of a checkpoint file has its checksum, and none would run code."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None or any(map(_is_folder, archive.infolist())):
                return False
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # neither zipfile nor pickle has one error for damage
        return False
    return isinstance(state, dict)


def _is_folder(record: zipfile.ZipInfo) -> bool:
    """Say whether a record is marked as a folder; torch would read nothing, and take that."""
    return bool(record.external_attr & FOLDER)


class Checkpointer(Checkpoint):
    """Save every ``every`` updates and when asked to stop; keep the newest ``keep``."""

    def __init__(self, folder: str | Path, *, every: int, keep: int = 2) -> None:
        if every < 1 or keep < 1:
            raise ValueError(f"every and keep must be at least 1, got every {every}, keep {keep}")
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self._asked: int | None = None  # the signal that asked us to stop
        self._saved = -1
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for the stop signals, in place of Lightning, which would not save."""
        if trainer.is_global_zero and self.folder.is_dir():
            remove_unfinished(self.folder)
        self._saved = trainer.global_step
        for number in STOP_SIGNALS:
            self._handlers[number] = signal.signal(number, self._ask)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, unless a validation follows: then the row it logs must come first."""
        if not validation_follows(trainer):
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if it is time; runs after the callbacks that swap weights for validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save_if_due(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == self._asked == signal.SIGINT:
            raise KeyboardInterrupt  # pressed again: at once, without saving
        self._asked = number

    def _save_if_due(self, trainer: Trainer) -> None:
        step = trainer.global_step
        stop = self._stop(trainer)
        due = step % self.every == 0 or step == trainer.max_steps or stop is not None
        if due and step != self._saved and step > 0:
            self._save(trainer, step)
        if stop is not None:
            raise StopRequested(stop, step)

    def _stop(self, trainer: Trainer) -> int | None:
        """Return the signal to obey; ranks agree, so that all of them save the same update."""
        if trainer.world_size == 1:
            return self._asked
        if trainer.global_step % AGREE_EVERY:
            return None
        asked = trainer.strategy.reduce(
            torch.tensor(float(self._asked or 0), device=trainer.strategy.root_device),
            reduce_op="max",
        )
        return int(asked) or None

    def _save(self, trainer: Trainer, step: int) -> None:
        trainer.save_checkpoint(self.folder / f"step-{step:09d}.ckpt", weights_only=False)
        self._saved = step
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
                old.unlink()


def validation_follows(trainer: Trainer) -> bool:
    """Say whether Lightning validates after the current batch (counted over the whole run)."""
    if not trainer.enable_validation or not isinstance(trainer.val_check_batch, int):
        return False
    return (trainer.fit_loop.total_batch_idx + 1) % trainer.val_check_batch == 0


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
