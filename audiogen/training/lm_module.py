"""Language-model training: teacher-forced prediction of pre-encoded codes from captions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from audiogen.checkpoint import load_codec, save_model
from audiogen.codec.model import Codec
from audiogen.data.tokens import TokenError
from audiogen.lm.guidance import drop_conditions
from audiogen.lm.loss import codebook_cross_entropy
from audiogen.lm.model import TokenLM
from audiogen.model_folder.layout import read_config
from audiogen.rng import batch_generator
from audiogen.text import TextEncoder
from audiogen.training.recording import RecordingModule, clip_gradients
from audiogen.training.schedules import Schedule, constant, set_learning_rate

HEADER = ("codec_hash", "segment_frames", "frame_rate")


class LMModule(RecordingModule):
    """Trains a `TokenLM`, and the text encoder if it is one that learns.

    Batches are {"codes": int64 [B, K, T], "code_mask": bool [B, K, T], "captions": B strings or
    None}; the datasets say in ``header`` which codec the codes are of. Validation also measures the
    loss with the captions of other items and without any: a model that reads its text is worse off.

    Args:
        lm: the model.
        text: encoder of captions; one that does not learn stays out of checkpoints.
        optimizer: makes the optimizer from the parameters that learn.
        condition_dropout: share of items trained without their caption.
        seed: of that choice, which is a function of (seed, rank, epoch, batch).
        codec_folder: the model folder of the codec the codes are of; needed to export and to make
            sounds while training. None trains on codes alone.
        schedule: update -> factor on all learning rates.
        gradient_clip: largest global norm of the gradients; None for no limit.
        complete: also train the delayed codebooks' last frames; the reference leaves them out.
    """

    def __init__(
        self,
        lm: TokenLM,
        *,
        text: TextEncoder,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        condition_dropout: float,
        seed: int,
        codec_folder: str | None = None,
        schedule: Schedule = constant,
        gradient_clip: float | None = 1.0,
        complete: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= condition_dropout <= 1:
            raise ValueError(f"condition_dropout must be in [0, 1], got {condition_dropout}")
        parts: dict[str, nn.Module] = {"lm": lm}
        if isinstance(text, nn.Module):
            parts["text"] = text  # a frozen T5 has neither parameters nor state to be saved
        self.parts = nn.ModuleDict(parts)
        self._text = [text]  # in a list, or it would be a part twice
        self.make_optimizer = optimizer
        self.condition_dropout = condition_dropout
        self.seed = seed
        self.codec_folder = codec_folder
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.complete = complete
        self._trained_on: Mapping[str, Any] | None = None  # `header` of the loaded checkpoint

    @property
    def averaged(self) -> nn.Module:
        """What learns and is exported."""
        return self.parts

    @property
    def lm(self) -> TokenLM:
        """The language model."""
        return cast(TokenLM, self.parts["lm"])

    @property
    def text(self) -> TextEncoder:
        """The text encoder, frozen or not."""
        return self._text[0]

    @property
    def header(self) -> Mapping[str, Any]:
        """What the training data says about its codes: codec_hash, segment_frames, frame_rate."""
        if self._trained_on is None:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            self._trained_on = {key: data.train.header[key] for key in HEADER}
        return self._trained_on

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of everything that learns."""
        return self.make_optimizer(self._learning())

    def on_fit_start(self) -> None:
        """Refuse codes of another codec than the given one, or than those trained on before."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        size = data.train.header.get("codebook_size")
        if size not in (None, self.lm.codebook_size):
            raise TokenError(
                f"the codes to train on are of codebooks of {size}, the language model is built "
                f"for {self.lm.codebook_size}: set codec.codebook_size={size}"
            )
        found = data.train.header["codec_hash"]
        given = None if self.codec_folder is None else _codec_hash(Path(self.codec_folder))
        for expected, whose in (
            (given, self.codec_folder),
            (self.header["codec_hash"], "this run so far"),
        ):
            if expected not in (None, found):
                raise TokenError(
                    f"the codes to train on are of codec {found[:12]}, {whose} is of codec "
                    f"{str(expected)[:12]}: encode the sounds again with "
                    "scripts/encode_tokens.py, or name the codec that made these codes"
                )

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Return the mean over codebooks of the cross-entropy, float [], in nats per code."""
        generator = batch_generator(
            seed=self.seed,
            rank=self.global_rank,
            epoch=self.current_epoch,
            batch=batch_idx,
            device=self.device,
        )
        states, mask = self.text.encode(batch["captions"])
        mask = drop_conditions(mask, probability=self.condition_dropout, generator=generator)
        losses = self._losses(batch, states, mask)
        self._train.add(_values(losses))
        return losses.mean()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure the loss with the true captions, with those of other items, and with none."""
        captions = batch["captions"]
        states, mask = self.text.encode(captions)
        values = _values(self._losses(batch, states, mask))
        values["loss_no_captions"] = self._losses(batch, states, mask & False).mean()
        if len(captions) > 1:
            shuffled = self._losses(batch, *self.text.encode(other_captions(captions)))
            values["loss_shuffled_captions"] = shuffled.mean()
        self.add_validation(values, weight=len(captions))

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
        self._norm = clip_gradients(self._learning(), self.gradient_clip)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then count the update."""
        super().optimizer_step(*args, **kwargs)
        self.finish_update({"gradient_norm": self._norm})

    def extra_values(self) -> dict[str, float]:
        """Return the learning rate."""
        return {"train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"]}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which codec the codes are of."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["codes"] = dict(self.header)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember which codec the codes were of."""
        if "codes" not in checkpoint:
            raise ValueError("the checkpoint is not of a language model: give resume_from another")
        super().on_load_checkpoint(checkpoint)
        self._trained_on = checkpoint["codes"]

    def load_codec(self) -> Codec:
        """Load the codec of ``codec_folder``."""
        if self.codec_folder is None:
            raise ValueError("this needs the codec of the codes: give codec_folder=...")
        return load_codec(self.codec_folder)

    def export(self, folder: Path, *, card: Mapping[str, object]) -> None:
        """Write the whole model, codec included, as a model folder."""
        codec = self.load_codec()
        seconds = self.header["segment_frames"] / self.header["frame_rate"]
        lm = self.lm.cpu().eval()
        save_model(folder, text=self.text, lm=lm, codec=codec, max_duration=seconds, card=card)

    def _learning(self) -> list[nn.Parameter]:
        return [p for p in self.parts.parameters() if p.requires_grad]

    def _losses(self, batch: Mapping[str, Any], states: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy of each codebook, float [K], in nats per code."""
        lm, codes = self.lm, batch["codes"]
        text = lm.project_text(states, mask)
        logits, valid = lm.predict(codes, text, mask, complete=self.complete)
        return codebook_cross_entropy(logits, codes, valid & batch["code_mask"])


def other_captions(captions: Sequence[str | None]) -> list[str | None]:
    """Give every item the caption of the one before it."""
    return [*captions[-1:], *captions[:-1]]


def _values(losses: Tensor) -> dict[str, Tensor]:
    """Name the losses float [K] of the codebooks, their perplexities and their mean."""
    values = {"loss": losses.mean()}
    for k, loss in enumerate(losses.detach()):
        values |= {f"loss_codebook_{k}": loss, f"perplexity_codebook_{k}": loss.exp()}
    return values


def _codec_hash(folder: Path) -> str:
    return str(read_config(folder)["codec_hash"])
