"""Callbacks: averaged weights, and random streams that survive a restart."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from audiogen.rng import derive_seed
from audiogen.training.sharding import assembled, reshard, share, share_of


class WeightAverage(Callback):
    """Exponential moving average of weights and buffers, used for validation and export.

    Unbiased: the first update copies, and the average of n equal-weight values starts as their
    mean. The count c becomes decay * c + 1, and the newest value weighs 1 / c.

    Source: the reference trains with decay 0.99, for the codec at every update, for the language
    model at every tenth.
    """

    def __init__(self, *, decay: float, every: int = 1) -> None:
        if not 0.0 <= decay < 1.0 or every < 1:
            raise ValueError(
                f"decay must be in [0, 1) and every at least 1, got decay {decay}, every {every}"
            )
        self.decay = decay
        self.every = every
        self.count = 0.0
        self.average: dict[str, Tensor] = {}
        self._updates = 0
        self._swapped: set[str] = set()  # weights that hold the average at present

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the present floating-point weights and buffers of ``module``."""
        values = _floating(module)
        self.count = self.decay * self.count + 1.0
        if self.average.keys() != values.keys():
            self.average = {name: value.detach().clone() for name, value in values.items()}
            return
        weight = 1.0 / self.count
        averages = [share(self.average[name]) for name in values]
        torch._foreach_lerp_(averages, [share(value) for value in values.values()], weight)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Put the average in place of the weights of ``module`` for as long as one needs it."""
        self.swap(module)
        try:
            yield
        finally:
            self.swap(module)

    def swap(self, module: nn.Module) -> None:
        """Exchange weights and average; does nothing before the first update."""
        self._exchange(module, tuple(self.average))

    @torch.no_grad()
    def _exchange(self, module: nn.Module, names: Iterable[str]) -> None:
        values = _floating(module)
        for name in names:
            mine, live = share(self.average[name]), share(values[name])
            kept = live.clone()
            live.copy_(mine)
            mine.copy_(kept)
            self._swapped ^= {name}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update once per finished optimizer update that falls on ``every``."""
        step = trainer.global_step
        if step == self._updates:
            return  # gradients are being accumulated
        self._updates = step
        if step <= getattr(pl_module, "average_after", 0):
            self.count, self.average = 0.0, {}
        elif _within_epoch(step, pl_module) % self.every == 0:
            self.update(_averaged(pl_module))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the averaged weights."""
        self.swap(_averaged(pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train on with the raw weights."""
        self.swap(_averaged(pl_module))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the raw weights back where validation, or a swap, ended half-way."""
        self._exchange(_averaged(pl_module), tuple(self._swapped))

    def state_dict(self) -> dict[str, Any]:
        """Return the average and its count, apart from the live weights.

        Where weights are in shares, all processes have to ask, and the first gets the average.
        """
        average = {name: assembled(value) for name, value in self.average.items()}
        return {"count": self.count, "average": average, "updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.count = state_dict["count"]
        self.average = state_dict["average"]
        self._updates = state_dict["updates"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move a restored average to where the weights are."""
        values = _floating(_averaged(pl_module))
        self.average = {n: share_of(value, values[n]) for n, value in self.average.items()}


def _averaged(pl_module: LightningModule) -> nn.Module:
    """Return what is exported, and so averaged: a discriminator is not."""
    averaged = getattr(pl_module, "averaged", pl_module)
    assert isinstance(averaged, nn.Module)
    return averaged


def _within_epoch(step: int, pl_module: LightningModule) -> int:
    """Count updates from the beginning of an epoch, where the module has epochs for averaging."""
    epoch: int | None = getattr(pl_module, "average_epoch", None)
    return step if epoch is None else (step - 1) % epoch + 1


def _floating(module: nn.Module) -> dict[str, Tensor]:
    """Return what changes in training; the average of frozen weights is what they are."""
    reshard(module)
    learning = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    tensors = [*learning, *module.named_buffers()]
    return {name: tensor for name, tensor in tensors if tensor.is_floating_point()}


class RandomStreams(Callback):
    """Save the global random streams and set them again before the first batch after a restart.

    Lightning restores none of them, and dropout draws from the one of torch. With several ranks,
    whose streams would be equal, torch is seeded from (seed, rank, update) at every batch instead.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self._pending: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of python, numpy, torch and CUDA as plain lists and tensors."""
        version, words, gauss = random.getstate()
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  # the stream to be saved
        return {
            "python": [version, list(words), gauss],
            "numpy": {
                **numpy_state,
                "state": {
                    "key": numpy_state["state"]["key"].tolist(),
                    "pos": numpy_state["state"]["pos"],
                },
            },
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts: loaders and set-up draw numbers before that."""
        self._pending = state_dict

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the streams, once; on several ranks, the one of torch every time."""
        if trainer.world_size > 1:
            key = (self.seed, "rank", trainer.global_rank, trainer.global_step)
            torch.manual_seed(derive_seed(*key))
        elif self._pending is not None:
            self._restore(self._pending)
            self._pending = None

    def _restore(self, state: dict[str, Any]) -> None:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        legacy = state["numpy"]
        key = np.asarray(legacy["state"]["key"], dtype=np.uint32)
        np.random.set_state({**legacy, "state": {**legacy["state"], "key": key}})  # noqa: NPY002
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
