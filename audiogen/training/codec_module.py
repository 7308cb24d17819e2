"""Codec training: reconstruction with balanced gradients, and an optional discriminator."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.checkpoint import save_codec
from audiogen.codec.balancer import Balancer
from audiogen.codec.losses import level_pair
from audiogen.codec.model import Codec, CodecOutput
from audiogen.model_folder.write import Check
from audiogen.training.accumulation import balance, split_batch
from audiogen.training.adversarial import Adversarial
from audiogen.training.codebook_start import CodebookStart
from audiogen.training.codec_health import CodebookWatch, Score, scores
from audiogen.training.gradients import clip_gradients, require_finite_norm
from audiogen.training.precision import check_precision, full_precision
from audiogen.training.ranks import average_buffers, average_gradients, world_size
from audiogen.training.recording import RecordingModule
from audiogen.training.regions import compile_regions
from audiogen.training.schedules import Schedule, constant, set_learning_rate


class CodecModule(RecordingModule):
    """Trains a `Codec`; batches are ``{"waveform": float [B, C, T], ...}``.

    The discriminator's optimizer is stepped without Lightning's wrapper, so that everything that
    counts steps (max_steps, logs, checkpoints, bar) counts updates of the generator, with a
    discriminator or without one. A batch is what a process brings to one update; however it is cut
    into parts (``accumulate``) and dealt to processes, the update is that of all items together, up
    to rounding. (Adam makes a step of any gradient: where one cancels exactly, as that of the last
    bias of a fresh discriminator under the hinge loss, rounding decides its sign, and adversarial
    losses may differ in the fourth digit.)

    Under ``bf16-mixed`` the convolutions and LSTMs of codec and discriminator run in bfloat16;
    quantizer, spectra, losses, balanced gradients and optimizers stay in float32.

    Args:
        codec: the model. With ``codec.paper_exact``, processes average gradients and buffers as
            the reference does, and the balancer starts anew at every resume.
        optimizer: makes the optimizer of the codec from its parameters.
        losses: by name, modules (output, target) -> float [] on waveforms [B, C, T].
        balancer: weights of all losses by name, "adversarial" and "feature" included.
        adversarial: the discriminator's part, or None.
        metrics: by name, (reference, generated) -> float [B], measured in validation only.
        schedule: update -> factor on all learning rates.
        commitment_weight: of the pull of latents to their entries, outside the balancer.
        balanced_items: the balancer gives every item a gradient of one size, so their sum grows
            with the batch, and the commitment, a mean, does not. This scales the sum to that of so
            many items, whatever the batch; None leaves it. The published training had 8, the batch
            of each process, between which it took the mean.
        accumulate: parts a batch is cut into, one after the other in memory; the codec runs once
            more per part for it. The update is the same but for rounding; only a codec with
            ``norm="spectral_norm"``, whose estimate moves at every pass, differs.
        compile: "regions" compiles encoder, decoder and discriminator, "none" nothing.
        warmup_steps: first updates without quantization; then k-means starts the codebooks. Those
            that have started, as a pretrained codec's, have no warm-up: latents would leave them.
        kmeans_items: training items whose latents k-means sees.
        level_floor: compare at equal loudness: both signals are scaled to an RMS of 1 for the
            losses, of targets below this RMS by no more than it takes for that; None never scales.
        item_weight_power: with a balancer that equalizes items, an item's gradient is as large as
            its RMS to this power, so that near-silence does not pull like a sound.
        gradient_clip: largest global norm of the codec's gradients; None for no limit.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        losses: Mapping[str, nn.Module],
        balancer: Balancer,
        adversarial: Adversarial | None = None,
        metrics: Mapping[str, Score] | None = None,
        schedule: Schedule = constant,
        commitment_weight: float = 1.0,
        balanced_items: int | None = None,
        accumulate: int = 1,
        compile: Literal["none", "regions"] = "none",  # noqa: A002  # what torch calls it
        warmup_steps: int = 0,
        kmeans_items: int = 64,
        gradient_clip: float | None = None,
        level_floor: float | None = None,
        item_weight_power: float = 0.5,
    ) -> None:
        super().__init__()
        _check(codec, balancer, accumulate=accumulate, balanced_items=balanced_items)
        self.automatic_optimization = False
        self.codec = codec.train()  # a pretrained one comes in eval mode, which does not learn
        self.losses = nn.ModuleDict(losses)
        self.balancer = balancer
        self.adversarial = adversarial
        self.metrics = dict(metrics or {})
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.commitment_weight = commitment_weight
        self.balanced_items = balanced_items
        self.accumulate = accumulate
        self.average_after = warmup_steps
        self._start = CodebookStart(codec, warmup_steps=warmup_steps, num_items=kmeans_items)
        self.gradient_clip = gradient_clip
        self.level_floor = level_floor
        self.item_weight_power = item_weight_power
        self._watch = CodebookWatch()
        compile_regions(codec, adversarial, mode=compile)

    @property
    def averaged(self) -> nn.Module:
        """What is exported."""
        return self.codec

    def configure_optimizers(self) -> list[Optimizer]:
        """Return the codec's optimizer, and the discriminator's if there is one."""
        optimizers = [self.make_optimizer(self.codec.parameters())]
        if self.adversarial is not None:
            parameters = self.adversarial.discriminator.parameters()
            optimizers.append(self.adversarial.make_optimizer(parameters))
        return optimizers

    def on_fit_start(self) -> None:
        """Refuse a run that cannot be: of another precision, or without codebooks at its end."""
        check_precision(str(self.trainer.precision))
        if 0 <= self.trainer.max_steps <= self._start.warmup_steps:
            raise ValueError(
                f"trainer.max_steps ({self.trainer.max_steps}) must be greater than "
                f"module.warmup_steps ({self._start.warmup_steps}), or the codec is never quantized"
            )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Update the discriminator if it is its turn, then the codec."""
        targets = split_batch(batch["waveform"], self.accumulate)
        self._set_quantizer(targets)
        with self.codec.quantizer.one_step():
            outputs = self._outputs(targets)
            fakes = [output.waveform.detach().float() for output in outputs]
            values = self._train_discriminator(targets, fakes)
            gradients, losses, effective = balance(
                self.balancer,
                self._losses,
                fakes,
                targets,
                item_weights=self._weights(batch["waveform"]),
            )
            values |= self._update_codec(targets, outputs, gradients)
        values |= {"loss": self._weighted(losses), "balanced": effective}
        self.finish_update(values | losses)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measure every loss and metric, and how evenly codes are used."""
        target = batch["waveform"]
        output = self.codec(target)
        waveform = output.waveform.float()
        with full_precision(target):
            losses = self._reconstruction(waveform, target)
            values = {"loss": self._weighted(losses), **losses}
            rms = [sound.square().mean().sqrt() for sound in (waveform, target)]
            values["rms_ratio"] = rms[0] / (rms[1] + 1e-8)
            for name, (value, count) in scores(self.metrics, target, waveform).items():
                self.add_validation({name: value}, weight=count)
        if self.adversarial is not None and self.adversarial.plays(self.updates):
            values |= self.adversarial.losses(target, waveform)
        self.add_validation(values, weight=len(target))
        if not self.codec.quantizer.bypass:
            self._watch.count(output.codes, self.codec.codebook_size)

    def on_validation_epoch_start(self) -> None:
        """Count codes anew."""
        self._watch.begin(self.codec)

    def on_validation_epoch_end(self) -> None:
        """Add the statistics of all codes of the validation, then write."""
        counts = self.trainer.strategy.reduce(self._watch.counts, reduce_op="sum")
        if counts.sum() > 0:
            self.add_validation(self._watch.statistics(counts), weight=1)
        super().on_validation_epoch_end()

    def extra_values(self) -> dict[str, float]:
        """Return the learning rate, and the health of every codebook."""
        values = {"train/learning_rate": self._raw_optimizers()[0].param_groups[0]["lr"]}
        if not self.codec.quantizer.bypass:
            values |= self._watch.health(self.codec)
        return values

    def on_train_start(self) -> None:
        """Set the quantizer for the update to come, before a validation may look at it."""
        super().on_train_start()
        self._set_quantizer(())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the entries that the drift of codebooks is measured from."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["codebooks"] = self._watch.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what was saved; the reference forgets its balancer."""
        super().on_load_checkpoint(checkpoint)
        self._watch.restore(checkpoint.get("codebooks"))
        if self.codec.paper_exact:
            state = checkpoint["state_dict"]
            for name in [name for name in state if name.startswith("balancer.")]:
                state[name] = torch.zeros_like(state[name])

    def export(
        self, folder: Path, *, card: Mapping[str, object], check: Check | None = None
    ) -> None:
        """Write the codec as a model folder."""
        self.codec.quantizer.bypass = False
        save_codec(self.codec.cpu().eval(), folder, card=card, check=check)

    def _set_quantizer(self, targets: Sequence[Tensor]) -> None:
        self._start.prepare(
            targets,
            update=self.updates,
            data=lambda: self.trainer.datamodule,  # type: ignore[attr-defined]
        )

    def _outputs(self, targets: Sequence[Tensor]) -> list[CodecOutput]:
        """Run the codec; without graph if there are parts, whose graphs follow one by one.

        The balancer and the discriminator have to see all parts before the codec learns of one.
        """
        with torch.set_grad_enabled(len(targets) == 1):
            return [self.codec(target) for target in targets]

    def _train_discriminator(
        self, targets: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        if self.adversarial is None or not self.adversarial.learns(self.updates):
            return {}
        optimizer = self._raw_optimizers()[1]
        set_learning_rate(optimizer, self.schedule(self.updates))
        loss = self.adversarial.train_discriminator(targets, outputs, optimizer)
        return {"discriminator": loss}

    def _losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        with full_precision(target):
            losses = self._reconstruction(output, target)
        if self.adversarial is None or not self.adversarial.plays(self.updates):
            return losses
        return losses | self.adversarial.generator_losses(target, output)

    def _reconstruction(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.level_floor is not None:
            output, target = level_pair(output, target, min_rms=self.level_floor)
        return {name: loss(output, target) for name, loss in self.losses.items()}

    def _weighted(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Mean of the reconstruction losses by weight: one number for training and validation.

        What is minimized is not a number but a balanced gradient.
        """
        names = [name for name in losses if name in self.losses]
        weights = [self.balancer.weights[name] for name in names]
        terms = [w * losses[name].detach() for w, name in zip(weights, names, strict=True)]
        return torch.stack(terms).sum() / sum(weights)

    def _weights(self, target: Tensor) -> Tensor | None:
        if not self.balancer.equalize_items:
            return None
        return target.square().mean(dim=(1, 2)).pow(self.item_weight_power / 2)

    def _update_codec(
        self,
        targets: Sequence[Tensor],
        outputs: Sequence[CodecOutput],
        gradients: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Take one step from the gradients of the losses at the outputs, and the commitment."""
        optimizer = self.optimizers()
        optimizer = optimizer[0] if isinstance(optimizer, list) else optimizer
        optimizer.zero_grad()
        scale = self._balanced_scale(sum(map(len, targets)))
        commitments = []
        for target, output, gradient in zip(targets, outputs, gradients, strict=True):
            again = output if len(targets) == 1 else self.codec(target)
            commitment = again.commitment_loss / len(targets)
            _backward(again.waveform, gradient * scale, commitment * self.commitment_weight)
            commitments.append(commitment.detach())
        parameters = list(self.codec.parameters())
        average_gradients(parameters)
        if self.codec.paper_exact:
            average_buffers(self.codec)
        norm = clip_gradients(parameters, self.gradient_clip)
        require_finite_norm(norm, whose="the codec")
        set_learning_rate(self._raw_optimizers()[0], self.schedule(self.updates))
        optimizer.step()
        return {"commitment": torch.stack(commitments).sum(), "gradient_norm": norm}

    def _balanced_scale(self, items: int) -> float:
        """Factor on a balanced gradient: processes average what the balancer wants added up."""
        if self.balanced_items is not None:
            return self.balanced_items / items
        per_process = self.codec.paper_exact and self.balancer.balance
        return 1.0 if per_process else float(world_size())

    def _raw_optimizers(self) -> list[Optimizer]:
        raw = self.optimizers(use_pl_optimizer=False)
        return raw if isinstance(raw, list) else [raw]


def _backward(waveform: Tensor, gradient: Tensor, commitment: Tensor) -> None:
    """Take a gradient at the waveform and the commitment through the codec in one pass."""
    roots: list[tuple[Tensor, Tensor | None]] = [(waveform, gradient.to(waveform.dtype))]
    if commitment.requires_grad:  # not while the quantizer is passed by
        roots.append((commitment, None))
    torch.autograd.backward([root for root, _ in roots], [g for _, g in roots])


def _check(
    codec: Codec, balancer: Balancer, *, accumulate: int, balanced_items: int | None
) -> None:
    if accumulate < 1 or (balanced_items is not None and balanced_items < 1):
        raise ValueError(
            "accumulate and balanced_items must be at least 1, got "
            f"{accumulate} and {balanced_items}"
        )
    if balanced_items is not None and not balancer.balance:
        raise ValueError("balanced_items needs a balancer with balance=True: others have no unit")
    if codec.paper_exact and accumulate > 1:
        raise ValueError(
            f"paper_exact takes batches whole, as the reference did: got accumulate {accumulate}"
        )
