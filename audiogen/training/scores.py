"""Scores of generated sounds while a language model trains, by the evaluation suite."""

import csv
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from audiogen.audio import write_audio
from audiogen.codec.model import Codec
from audiogen.pipeline import AudioGen
from audiogen.text.captions import DESCRIPTION, attributes
from audiogen.training.sharding import whole
from audiogen.training.streams import streams_kept
from evaluation import Report, evaluate
from evaluation.suite import computable

log = logging.getLogger(__name__)

# What the metrics of published comparisons are called in logs; others keep their key, so that a
# stand-in is never taken for what it stands in for.
SHORT = {"fad_vggish": "fad", "kld_passt": "kld", "clap_score": "clap"}


class Scores(Callback):
    """Scores clips with the first validation after every ``every`` updates, as ``val/fad`` etc.

    Clips are generated from the captions of the first validation items, from the averaged weights
    where there are any, and held against those items: as they came, or decoded from their codes.
    They are always the same, so that two runs, or two updates, can be compared; few as they are,
    the numbers mean little beside published ones. The report goes into ``scores`` of the run
    folder. Metrics that this machine cannot compute are named in the log, once.

    Args:
        every: updates.
        count: clips; those of the validation data, if it has fewer.
        protocol: name or path of the protocol card.
        metrics: which of the card; None for all that can be computed.
        weights: folder of pretrained weights; None is the default one.
        batch_size: clips generated at once.
        guidance_scale: of the generation.
        seed: clip i draws from (seed, i).
    """

    def __init__(
        self,
        *,
        every: int,
        count: int = 64,
        protocol: str = "audiocraft",
        metrics: Sequence[str] | None = None,
        weights: str | None = None,
        batch_size: int = 16,
        guidance_scale: float = 3.0,
        seed: int = 1,
    ) -> None:
        if every < 1 or count < 2 or batch_size < 1:
            raise ValueError(
                "every and batch_size must be at least 1 and count at least 2, got "
                f"{every}, {batch_size} and {count}"
            )
        self.every = every
        self.count = count
        self.protocol = protocol
        self.weights = weights
        self.batch_size = batch_size
        self.guidance_scale = guidance_scale
        self.seed = seed
        self.metrics, self._missing = computable(
            protocol, metrics, weights, option="scores.weights="
        )
        self._done = 0  # multiples of ``every`` that were scored

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what will not be computed, and why."""
        if not trainer.is_global_zero or 0 <= trainer.max_steps < self.every:
            return
        for key, reason in self._missing.items():
            log.info("validation goes without %s: %s", key, reason)
        if getattr(pl_module, "codec_folder", None) is None:
            log.info("validation goes without scores: codec_folder was not given")

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Score, if it is time; all processes come here, and the first one generates."""
        due = trainer.global_step // self.every
        if due <= self._done or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._done = due
        if not self.metrics or pl_module.codec_folder is None:
            return
        with whole(pl_module), streams_kept():
            if trainer.is_global_zero:
                self._try(trainer, pl_module)

    def _try(self, trainer: Trainer, pl_module: Any) -> None:
        """Score and write; sounds that cannot be scored, as silent ones, are no reason to stop."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        batch = _with_captions(data.first_valid(self.count))
        if len(batch["captions"]) < 2:
            log.warning("no scores: fewer than two of the first validation items have a caption")
            return
        try:
            report = self._score(batch, trainer, pl_module)
        except ValueError as error:
            log.warning("no scores after update %d: %s", trainer.global_step, error)
            return
        for text in report.warnings:
            log.info("scores: %s", text)
        pl_module.write(named(report))

    def _score(self, batch: Mapping[str, Any], trainer: Trainer, pl_module: Any) -> Report:
        step = f"step-{trainer.global_step:09d}"
        with tempfile.TemporaryDirectory(prefix="audiogen-scores-") as folder:
            self._write(batch, pl_module, Path(folder))
            report = evaluate(
                f"{folder}/reference",
                f"{folder}/generated",
                f"{folder}/captions.csv",
                protocol=self.protocol,
                metrics=self.metrics,
                weights=self.weights,
            )
        kept = Path(trainer.default_root_dir) / "scores"
        kept.mkdir(parents=True, exist_ok=True)
        report.to_json(kept / f"{step}.json")
        return report

    def _write(self, batch: Mapping[str, Any], pl_module: Any, folder: Path) -> None:
        """Write references, generated sounds and captions side by side."""
        codec = pl_module.load_codec().to(pl_module.device).eval()
        model = AudioGen(text=pl_module.text, lm=pl_module.plain_lm, codec=codec)
        captions = [attributes(caption)[DESCRIPTION] for caption in batch["captions"]]
        with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["file", "caption"])
            rows.writerows([f"{i:05d}.wav", text] for i, text in enumerate(captions))
        references = _references(batch, codec, pl_module.device)
        for start in range(0, len(captions), self.batch_size):
            part = slice(start, start + self.batch_size)
            sounds = model.generate(
                batch["captions"][part],
                duration=_seconds(batch, codec),
                seeds=[(self.seed, i) for i in range(len(captions))[part]],
                guidance_scale=self.guidance_scale,
            )
            for i, sound in enumerate(sounds, start=start):
                length = references[i].shape[-1]
                for kind, wave in (("reference", references[i]), ("generated", sound[:, :length])):
                    path = folder / kind / f"{i:05d}.wav"
                    write_audio(path, wave.clamp(-1, 1), codec.sample_rate)

    def state_dict(self) -> dict[str, Any]:
        """Return how far we are."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._done = state_dict["done"]


def named(report: Report) -> dict[str, float]:
    """Return the scores of a report by the names they have in logs."""
    return {f"val/{SHORT.get(key, key)}": score.value for key, score in report.scores.items()}


def _with_captions(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the items that have a description."""
    kept = [i for i, c in enumerate(batch["captions"]) if attributes(c).get(DESCRIPTION)]
    return {
        name: [values[i] for i in kept] if isinstance(values, list) else values[kept]
        for name, values in batch.items()
    }


def _seconds(batch: Mapping[str, Any], codec: Codec) -> float:
    """Return the length of the items, padding included."""
    if "waveform" in batch:
        return float(batch["waveform"].shape[-1] / codec.sample_rate)
    return float(batch["codes"].shape[-1] / codec.frame_rate)


def _references(batch: Mapping[str, Any], codec: Codec, device: torch.device) -> list[Tensor]:
    """Return float [C, t] per item, without the padding behind its end."""
    if "waveform" in batch:
        lengths = batch["num_samples"].tolist()
        return [sound[:, :n] for sound, n in zip(batch["waveform"], lengths, strict=True)]
    frames = batch["code_mask"][:, 0].sum(dim=-1).tolist()
    pairs = zip(batch["codes"], frames, strict=True)
    return [codec.decode(codes[None, :, :n].to(device))[0].cpu() for codes, n in pairs]
