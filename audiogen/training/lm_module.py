"""Language-model training: teacher-forced prediction of codes from captions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from audiogen.lm.model import TokenLM
from audiogen.text import TextEncoder
from audiogen.text.captions import Caption
from audiogen.training.accumulation import split_items
from audiogen.training.lm_checks import check_attributes
from audiogen.training.lm_conditions import ConditionDropout, other_captions
from audiogen.training.lm_losses import (
    by_codebook,
    count_targets,
    read_steps,
    shares,
    with_means,
)
from audiogen.training.lm_optimizer import Groups, clip_update, parameter_groups
from audiogen.training.lm_parts import LMParts
from audiogen.training.precision import full_precision
from audiogen.training.regions import compile_blocks, recompute_blocks
from audiogen.training.schedules import Schedule, constant, set_learning_rate
from audiogen.training.throughput import Throughput

log = logging.getLogger(__name__)

REFERENCE_EPOCH = 2000  # updates


class LMModule(LMParts):
    """Trains a `TokenLM`, and the text encoder if it is one that learns.

    Batches are {"codes": int64 [B, K, T], "code_mask": bool [B, K, T], "captions": B captions}, or
    with {"waveform": float [B, C, T], "num_samples": int64 [B]} in place of codes, which the codec
    of ``codec_folder`` then encodes to what a folder of codes would hold. The datasets of codes say
    in ``header`` which codec they are of. A batch is what a process brings to one update; however
    it is cut into parts and dealt to processes, the update is that of all items together.

    Validation also measures the loss with the captions of other items and without any: a model
    that reads its text is worse off.

    With ``lm.paper_exact`` training does what the reference does: captions are dropped for whole
    batches (see `ConditionDropout`), the padding of texts is attended to, delayed codebooks are not
    trained on their last frames, the silence behind short sounds is trained on, processes with
    fewer targets weigh as much as others, and weights are averaged at multiples of the count within
    an epoch, by which the reference means `REFERENCE_EPOCH` updates whatever the data.

    Args:
        lm: the model.
        text: encoder of captions; one that does not learn stays out of checkpoints.
        optimizer: makes the optimizer from the parameters that learn.
        condition_dropout: share of items trained without their caption.
        attribute_dropout: attribute of captions -> share of items trained without it.
        word_dropout: share of the words of descriptions that are left out.
        seed: of these choices, which are functions of (seed, rank, epoch, batch).
        codec_folder: the model folder of the codec the codes are of; needed to export, to train on
            sounds and to make sounds while training. None trains on codes alone.
        schedule: update -> factor on all learning rates.
        embedding_lr: learning rate of the code embeddings; the parameters then are in the groups of
            the reference. None keeps all parameters in one group.
        gradient_clip: largest global norm of the gradients; None for no limit.
        accumulate: parts a batch is cut into, one after the other in memory.
        checkpoint_blocks: keep only the input of every block for the backward pass, which computes
            the block again: less memory, a third more time.
        compile: "regions" compiles the blocks, "none" nothing.
        complete: also train the delayed codebooks' last frames; None does unless
            ``lm.paper_exact``.
        matrix_rate: FLOP/s of one device, of which ``train/mfu`` is the share; "measured" finds it
            at the start, None leaves the share out.
    """

    def __init__(
        self,
        lm: TokenLM,
        *,
        text: TextEncoder,
        optimizer: Callable[[Groups], Optimizer],
        condition_dropout: float,
        seed: int,
        attribute_dropout: Mapping[str, float] | None = None,
        word_dropout: float = 0.0,
        codec_folder: str | None = None,
        schedule: Schedule = constant,
        embedding_lr: float | None = None,
        gradient_clip: float | None = 1.0,
        accumulate: int = 1,
        checkpoint_blocks: bool = False,
        compile: Literal["none", "regions"] = "none",  # noqa: A002  # what torch calls it
        complete: bool | None = None,
        matrix_rate: float | str | None = None,
    ) -> None:
        exact = lm.paper_exact
        super().__init__(
            lm,
            text=text,
            codec_folder=codec_folder,
            complete=not exact if complete is None else complete,
        )
        if accumulate < 1 or (exact and accumulate > 1):
            raise ValueError(
                "accumulate must be at least 1, and 1 with lm.paper_exact, which takes batches "
                f"whole as the reference did: got {accumulate}"
            )
        check_attributes(attribute_dropout or {}, text)
        self.dropout = ConditionDropout(
            condition=condition_dropout,
            attributes=attribute_dropout or {},
            words=word_dropout,
            seed=seed,
            paper_exact=exact,
        )
        if checkpoint_blocks:
            recompute_blocks(lm)
        compile_blocks(lm, mode=compile)
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.embedding_lr = embedding_lr
        self.gradient_clip = gradient_clip
        self.accumulate = accumulate
        self.average_epoch = REFERENCE_EPOCH if exact else None
        self.throughput = Throughput(lm.config, rate=matrix_rate)

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of everything that learns."""
        return self.make_optimizer(parameter_groups(self.parts, embedding_lr=self.embedding_lr))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Return what is left to differentiate of the mean over codebooks, in nats per code.

        That is the last part of the batch; the gradients of those before it are there already.
        """
        captions, keep = self.dropout(
            batch["captions"],
            rank=self.global_rank,
            world_size=self.trainer.world_size,
            epoch=self.current_epoch,
            batch=batch_idx,
        )
        items = self._codes_of(batch) | {"captions": captions, "keep": keep.to(self.device)}
        parts = split_items(items, self.accumulate)
        counts = [
            count_targets(self.lm, part["code_mask"], complete=self.complete) for part in parts
        ]
        self.optimizers().zero_grad()  # type: ignore[union-attr]
        logged = torch.zeros((), device=self.device)
        for part, share in zip(parts, shares(counts, of_all=not self.paper_exact), strict=True):
            loss, losses, positions = self._read(
                part, part["captions"], keep=part["keep"], weights=share
            )
            logged = logged + share * losses
            steps = read_steps(self.lm, part["codes"].shape[-1], complete=self.complete)
            self.throughput.count(part["codes"], steps=steps, text_positions=positions)
            if part is not parts[-1]:
                self._differentiate(loss)
        self._train.add(by_codebook(logged))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure the loss with the true captions, with those of other items, and with none."""
        items = self._codes_of(batch)
        captions = items["captions"]
        losses = {"": self._read(items, captions)[1]}
        none = torch.zeros(len(captions), dtype=torch.bool, device=self.device)
        losses["no_captions"] = self._read(items, captions, keep=none)[1]
        if len(captions) > 1:
            losses["shuffled_captions"] = self._read(items, other_captions(captions))[1]
        counts = count_targets(self.lm, items["code_mask"], complete=self.complete).tolist()
        for kind, values in losses.items():
            for (name, value), count in zip(by_codebook(values, kind).items(), counts, strict=True):
                if count:  # the mean of none is not a number
                    self.add_validation({name: value}, weight=count)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Keep the gradients: those of the parts of this batch, cleared before its first."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Set the learning rate of this update."""
        set_learning_rate(optimizer, self.schedule(self.updates))

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the module's own limit, and keep the norm for the record."""
        self._values = clip_update(
            self.trainer,
            optimizer,
            self._learning(),
            limit=self.gradient_clip,
            update=self.updates + 1,
        )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then count the update."""
        super().optimizer_step(*args, **kwargs)
        self.finish_update(self._values)

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        """Add the means over codebooks and the perplexities."""
        return with_means(means)

    def on_fit_start(self) -> None:
        """Refuse what cannot be trained on; find out what there is to be had of the device."""
        super().on_fit_start()
        processes = self.trainer.world_size
        if processes > 1 and self.trainer.is_global_zero:
            items = self.trainer.datamodule.batch_size  # type: ignore[attr-defined]
            log.info(
                "an update is of %d items: %d on each of %d processes",
                items * processes,
                items,
                processes,
            )
        self.throughput.begin(self.device, str(self.trainer.precision))

    def extra_values(self) -> dict[str, float]:
        """Return the learning rate."""
        return {"train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"]}

    def speed(self, seconds: float) -> dict[str, float]:
        """Return frames and seconds of sound per second, and the share of the device in use."""
        return self.throughput.pop(seconds, frame_rate=self.header["frame_rate"])

    def _read(
        self,
        batch: Mapping[str, Any],
        captions: Sequence[Caption],
        *,
        keep: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, int]:
        """Return `_losses` with ``captions``, where ``keep`` is true, and their text positions.

        All of it in one call of the parts, for which sharded weights are put together.
        """

        def read() -> tuple[Tensor, Tensor, int]:
            states, mask = self.text.encode(captions)
            mask = mask if keep is None else mask & keep[:, None]
            return *self._losses(batch, states, mask, weights), mask.shape[1]

        found: tuple[Tensor, Tensor, int] = self.parts(read)
        return found

    def _losses(
        self, batch: Mapping[str, Any], states: Tensor, mask: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy: the mean over codebooks by ``weights``, float [], and of each, [K]."""
        return self.lm.losses(
            batch["codes"],
            self.lm.project_text(states, mask),
            None if self.paper_exact else mask,
            code_mask=batch["code_mask"],
            weights=weights,
            complete=self.complete,
        )

    def _differentiate(self, loss: Tensor) -> None:
        """Add to the gradients; processes join theirs at the last part, which Lightning does."""
        with full_precision(loss):
            self.trainer.strategy.backward(loss, None)
