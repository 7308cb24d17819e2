"""Trainings that go wrong while their numbers look like numbers: said in one line, when seen."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)

TEXT_USED = 0.002  # share of the loss that a model must be worse off by with other captions
RISEN = 1.1  # a loss this many times its lowest one is on its way out
LEARNED = 0.98  # of log N, the loss of a guess: what is above has learned next to nothing
STILL = 1e-4  # share of the loss; a change by less between validations is none
PATIENCE = 3  # validations in a row before something is said
OVERFITTED = 1.02  # the validation loss over its lowest value, while the training loss falls

Row = Mapping[str, float]


class Alarms(Callback):
    """Logs what is wrong with a language model's training after each validation, each thing once.

    Reads the means of `RecordingModule` and changes nothing. What has been said is said again
    only if it was better in between, or after a restart.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._said: set[str] = set()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the validation that has just been written."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        values: dict[str, Any] = {
            name: float(value) for name, value in trainer.callback_metrics.items()
        }
        shown = getattr(pl_module, "shown", {})
        values |= {"train/loss": shown["loss"]} if "loss" in shown else {}
        self._rows.append(values)
        size = int(getattr(getattr(pl_module, "lm", None), "codebook_size", 0))
        found = alarms(self._rows, codebook_size=size)
        for kind, text in found.items():
            if kind not in self._said:
                log.warning("after update %d: %s", trainer.global_step, text)
        self._said = set(found)

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far."""
        return {"rows": [dict(row) for row in self._rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._rows = list(state_dict["rows"])


def alarms(rows: Sequence[Row], *, codebook_size: int) -> dict[str, str]:
    """Say what is wrong, by kind, from the validations of a run in their order.

    Args:
        rows: ``val/loss``, ``val/loss_shuffled_captions`` and ``train/loss`` where they are known.
        codebook_size: N, or 0 if it is not known.
    """
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    texts = {
        "text": _text_unused(rows),
        "diverging": _diverging(losses),
        "overfitting": _overfitting(rows),
        "flat": _flat(losses, codebook_size),
    }
    return {kind: text for kind, text in texts.items() if text}


def _text_unused(rows: Sequence[Row]) -> str:
    """The last `PATIENCE` validations, in none of which other captions were worse."""
    gaps = [
        (row["val/loss_shuffled_captions"] - row["val/loss"]) / row["val/loss"]
        for row in rows
        if "val/loss_shuffled_captions" in row and row.get("val/loss", 0) > 0
    ][-PATIENCE:]
    if len(gaps) < PATIENCE or max(gaps) >= TEXT_USED:
        return ""
    return (
        "the text is not used: with the captions of other items the validation loss changes by "
        f"{gaps[-1]:+.2%}; see whether there are captions, belong to their sounds and differ, and "
        "whether module.condition_dropout is not near 1"
    )


def _diverging(losses: Sequence[float]) -> str:
    if len(losses) < 2 or not losses[-1] > RISEN * min(losses[:-1]):
        return ""
    return (
        f"diverging: the validation loss is {losses[-1]:.4g}, it was {min(losses[:-1]):.4g}; lower "
        "optim.lr, warm up for longer or clip gradients, and go on from an earlier checkpoint"
    )


def _overfitting(rows: Sequence[Row]) -> str:
    pairs = [
        (row["val/loss"], row["train/loss"])
        for row in rows
        if "val/loss" in row and "train/loss" in row
    ]
    if len(pairs) <= PATIENCE:
        return ""
    (lowest, train_then) = min(pairs[:-PATIENCE])
    recent = [loss for loss, _ in pairs[-PATIENCE:]]
    if not (min(recent) > OVERFITTED * lowest and pairs[-1][1] < train_then):
        return ""
    return (
        f"overfitting: the validation loss was {lowest:.4g} and is {recent[-1]:.4g}, while the "
        "training loss falls; stop, or train on more sounds, with lm.dropout or a smaller model"
    )


def _flat(losses: Sequence[float], codebook_size: int) -> str:
    recent = losses[-PATIENCE - 1 :]
    if len(recent) <= PATIENCE:
        return ""
    guess = math.log(codebook_size) if codebook_size > 1 else math.inf
    if min(recent) > LEARNED * guess:
        return (
            f"nothing is learned: the validation loss is {recent[-1]:.4g}, a guess among "
            f"{codebook_size} codes has {guess:.4g}; see whether optim.lr is too low, or far too "
            "high"
        )
    if max(recent) - min(recent) > STILL * recent[-1]:
        return ""
    return (
        f"flat: the validation loss has stayed at {recent[-1]:.5g} for {PATIENCE} validations; "
        "the run may be at its end, or the learning rate is too low to see"
    )
