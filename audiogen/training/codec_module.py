"""Codec training: reconstruction with balanced gradients, and an optional discriminator."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.checkpoint import save_codec
from audiogen.codec.balancer import Balancer
from audiogen.codec.health import code_statistics, count_codes
from audiogen.codec.losses import level_pair
from audiogen.codec.model import Codec, CodecOutput
from audiogen.training.adversarial import Adversarial
from audiogen.training.recording import RecordingModule, average_gradients, clip_gradients
from audiogen.training.schedules import Schedule, constant, set_learning_rate


class CodecModule(RecordingModule):
    """Trains a `Codec`; batches are ``{"waveform": float [B, C, T], ...}``.

    The discriminator's optimizer is stepped without Lightning's wrapper, so that everything that
    counts steps (max_steps, logs, checkpoints, bar) counts updates of the generator, with a
    discriminator or without one.

    Args:
        codec: the model.
        optimizer: makes the optimizer of the codec from its parameters.
        losses: by name, modules (output, target) -> float [] on waveforms [B, C, T].
        balancer: weights of all losses by name, "adversarial" and "feature" included.
        adversarial: the discriminator's part, or None.
        schedule: update -> factor on all learning rates.
        commitment_weight: of the pull of latents to their entries, outside the balancer.
        warmup_steps: first updates without quantization; then k-means starts the codebooks.
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
        schedule: Schedule = constant,
        commitment_weight: float = 1.0,
        warmup_steps: int = 0,
        kmeans_items: int = 64,
        gradient_clip: float | None = None,
        level_floor: float | None = None,
        item_weight_power: float = 0.5,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.codec = codec
        self.losses = nn.ModuleDict(losses)
        self.balancer = balancer
        self.adversarial = adversarial
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.commitment_weight = commitment_weight
        self.warmup_steps = warmup_steps
        self.average_after = warmup_steps
        self.kmeans_items = kmeans_items
        self.gradient_clip = gradient_clip
        self.level_floor = level_floor
        self.item_weight_power = item_weight_power

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
        """Refuse a run that would end before its codebooks exist."""
        if 0 <= self.trainer.max_steps <= self.warmup_steps:
            raise ValueError(
                f"trainer.max_steps ({self.trainer.max_steps}) must be greater than "
                f"module.warmup_steps ({self.warmup_steps}), or the codec is never quantized"
            )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Update the discriminator if it is its turn, then the codec."""
        target = batch["waveform"]
        self._set_quantizer()
        output = self.codec(target)
        values = self._train_discriminator(target, output.waveform)
        # The losses end at a leaf: their balanced gradient is collected there, and one backward
        # pass takes it and the commitment through the codec.
        leaf = output.waveform.detach().requires_grad_()
        losses = self._reconstruction(leaf, target) | self._adversarial(leaf, target)
        self.balancer.backward(losses, leaf, item_weights=self._weights(target))
        values |= self._update_codec(output, leaf.grad)
        values["loss"] = self._weighted(losses)
        self.finish_update(values | losses)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measure every reconstruction loss, and how evenly codes are used."""
        target = batch["waveform"]
        output = self.codec(target)
        losses = self._reconstruction(output.waveform, target)
        values = {"loss": self._weighted(losses), **losses}
        rms = [sound.square().mean().sqrt() for sound in (output.waveform, target)]
        values["rms_ratio"] = rms[0] / (rms[1] + 1e-8)
        self.add_validation(values, weight=len(target))
        if not self.codec.quantizer.bypass:
            self._counts += count_codes(output.codes, self.codec.codebook_size)

    def on_validation_epoch_start(self) -> None:
        """Count codes anew."""
        shape = (self.codec.num_codebooks, self.codec.codebook_size)
        self._counts = torch.zeros(shape, device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Add the perplexities of all codes of the validation, then write."""
        counts = self.trainer.strategy.reduce(self._counts, reduce_op="sum")
        if counts.sum() > 0:
            perplexities = code_statistics(counts)["perplexity"]
            values = {f"perplexity_{k}": value for k, value in enumerate(perplexities)}
            self.add_validation(values, weight=1)
        super().on_validation_epoch_end()

    def extra_values(self) -> dict[str, float]:
        """Return learning rate, and perplexity, usage and restarts of every codebook."""
        values = {"train/learning_rate": self._raw_optimizers()[0].param_groups[0]["lr"]}
        if not self.codec.quantizer.bypass:
            for name, per_codebook in self.codec.quantizer.usage().items():
                for k, value in enumerate(per_codebook.tolist()):
                    values[f"codebooks/{name}_{k}"] = value
        return values

    def on_train_start(self) -> None:
        """Set the quantizer for the update to come, before a validation may look at it."""
        super().on_train_start()
        self._set_quantizer()

    def export(self, folder: Path, *, card: Mapping[str, object]) -> None:
        """Write the codec as a model folder."""
        self.codec.quantizer.bypass = False
        save_codec(self.codec.cpu().eval(), folder, card=card)

    def _set_quantizer(self) -> None:
        """Pass latents through during the warm-up; at its end start the codebooks."""
        quantizer = self.codec.quantizer
        quantizer.bypass = self.updates < self.warmup_steps
        started = all(codebook.is_inited for codebook in quantizer.codebooks)
        if self.warmup_steps and self.updates == self.warmup_steps and not started:
            quantizer.start(self._kmeans_latents())

    @torch.no_grad()
    def _kmeans_latents(self) -> Tensor:
        """Encode the first items of the training data, float [1, D, M]."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        latents = []
        for batch in data.first_batches(self.kmeans_items):
            encoded, _ = self.codec.encode_latents(batch["waveform"].to(self.device))
            latents.append(encoded.transpose(0, 1).flatten(1))
        return torch.cat(latents, dim=1)[None]

    def _train_discriminator(self, target: Tensor, output: Tensor) -> dict[str, Tensor]:
        if self.adversarial is None or not self.adversarial.learns(self.updates):
            return {}
        optimizer = self._raw_optimizers()[1]
        set_learning_rate(optimizer, self.schedule(self.updates))
        loss = self.adversarial.train_discriminator(target, output, optimizer)
        return {"discriminator": loss}

    def _reconstruction(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.level_floor is not None:
            output, target = level_pair(output, target, min_rms=self.level_floor)
        return {name: loss(output, target) for name, loss in self.losses.items()}

    def _adversarial(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.adversarial is None or not self.adversarial.plays(self.updates):
            return {}
        return self.adversarial.generator_losses(target, output)

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

    def _update_codec(self, output: CodecOutput, gradient: Tensor | None) -> dict[str, Tensor]:
        """Take one step from the gradient of the losses at the output, and the commitment."""
        optimizer = self.optimizers()
        optimizer = optimizer[0] if isinstance(optimizer, list) else optimizer
        optimizer.zero_grad()
        roots: list[tuple[Tensor, Tensor | None]] = [(output.waveform, gradient)]
        if output.commitment_loss.requires_grad:  # not while the quantizer is passed by
            roots.append((output.commitment_loss * self.commitment_weight, None))
        torch.autograd.backward([root for root, _ in roots], [g for _, g in roots])
        parameters = list(self.codec.parameters())
        average_gradients(parameters)
        norm = clip_gradients(parameters, self.gradient_clip)
        set_learning_rate(self._raw_optimizers()[0], self.schedule(self.updates))
        optimizer.step()
        return {"commitment": output.commitment_loss, "gradient_norm": norm}

    def _raw_optimizers(self) -> list[Optimizer]:
        raw = self.optimizers(use_pl_optimizer=False)
        return raw if isinstance(raw, list) else [raw]
