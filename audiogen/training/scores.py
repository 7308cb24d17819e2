"""Scores of generated sounds while a language model trains, by the evaluation suite."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from audiogen.generation.memory import is_out_of_memory
from audiogen.pipeline import AudioGen
from audiogen.training.references import References, with_captions
from audiogen.training.scored_sounds import write_scored
from audiogen.training.sharding import whole
from audiogen.training.streams import streams_kept
from evaluation import Report, evaluate
from evaluation.protocols.card import load_protocol
from evaluation.ready import check_networks, missing_lines
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
    the numbers mean little beside published ones. References are written once, into ``scores`` of
    the run folder, and their features are kept there; so are the reports. What this machine cannot
    compute is said once, before training starts; weights that are not what they should be stop it
    there.

    Args:
        every: updates.
        count: clips; those of the validation data, if it has fewer.
        protocol: name or path of the protocol card.
        metrics: which of the card; None for all that can be computed.
        weights: folder of pretrained weights; None is the default one.
        random_weights: networks with random weights, to try it out; their scores are logged as
            ``val/standin_fad`` etc.
        device: where networks run; None is where the model is.
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
        random_weights: bool = False,
        device: str | None = None,
        batch_size: int = 16,
        guidance_scale: float = 3.0,
        seed: int = 1,
    ) -> None:
        _check_whole("every", every, least=1)
        _check_whole("count", count, least=2)
        _check_whole("batch_size", batch_size, least=1)
        self.every = every
        self.count = count
        self.protocol = protocol
        self.weights = weights
        self.random_weights = random_weights
        self.device = device
        self.batch_size = batch_size
        self.guidance_scale = guidance_scale
        self.seed = seed
        self.metrics, self._missing = computable(
            protocol,
            metrics,
            weights,
            random_weights=random_weights,
            option="scores.weights=",
        )
        self._with_captions = load_protocol(protocol).captions != "none"
        self._done = 0  # multiples of ``every`` that were scored

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what will not be computed, and why; refuse weights that are not the networks'.

        Raises:
            ValueError: on every process, if those of the first one are.
        """
        if 0 <= trainer.max_steps < self.every:
            return
        without = getattr(pl_module, "codec_folder", None) is None
        problem = None
        if trainer.is_global_zero:
            for line in missing_lines(self._missing):
                log.warning("validation goes without %s", line)
            if without:
                log.warning("validation goes without scores: codec_folder was not given")
            elif self.metrics:
                problem = self._wrong_weights(pl_module)
        problem = trainer.strategy.broadcast(problem)
        if problem is not None:
            raise ValueError(problem)

    def _wrong_weights(self, pl_module: Any) -> str | None:
        """Load every network once, which tests it; say what is wrong with the first bad one."""
        try:
            with streams_kept():
                check_networks(self.protocol, self.metrics, **self._means(pl_module))
        except (ValueError, ImportError) as error:
            return f"scores: {error}"
        return None

    def _means(self, pl_module: Any) -> dict[str, Any]:
        return {
            "weights": self.weights,
            "random_weights": self.random_weights,
            "device": self.device or str(pl_module.device),
        }

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
        """Score and write.

        Sounds that cannot be scored, as silent ones, or memory that is all the model's are no
        reason to stop.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        batch = with_captions(data.first_valid(self.count))
        if len(batch["captions"]) < 2:
            log.warning("no scores: fewer than two of the first validation items have a caption")
            return
        try:
            report = self._score(batch, trainer, pl_module)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            lacking = is_out_of_memory(error)
            if not lacking and not isinstance(error, ValueError | OSError):
                raise
            advice = "; fewer with scores.batch_size=, or scores.device=cpu" if lacking else ""
            log.warning("no scores after update %d: %s%s", trainer.global_step, error, advice)
            return
        for text in report.warnings:
            log.info("scores: %s", text)
        pl_module.write(named(report))

    def _score(self, batch: Mapping[str, Any], trainer: Trainer, pl_module: Any) -> Report:
        kept = Path(trainer.default_root_dir) / "scores"
        codec = pl_module.load_codec().to(pl_module.device).eval()
        references = References(kept, batch, codec, device=pl_module.device)
        model = AudioGen(text=pl_module.text, lm=pl_module.plain_lm, codec=codec)
        with tempfile.TemporaryDirectory(prefix="audiogen-scores-") as folder:
            notes = write_scored(
                model,
                references,
                Path(folder),
                batch_size=self.batch_size,
                guidance_scale=self.guidance_scale,
                seed=self.seed,
            )
            report = evaluate(
                references.folder,
                folder,
                references.captions if self._with_captions else None,
                protocol=self.protocol,
                metrics=self.metrics,
                cache=kept / "features",
                sanity=False,
                **self._means(pl_module),
            )
        report.warnings[:0] = notes
        report.to_json(kept / f"step-{trainer.global_step:09d}.json")
        return report

    def state_dict(self) -> dict[str, Any]:
        """Return how far we are."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._done = state_dict["done"]


def named(report: Report) -> dict[str, float]:
    """Return the scores of a report by the names they have in logs.

    One of a network with random weights says so in its name.
    """
    values = {}
    for key, score in report.scores.items():
        mark = "standin_" if score.details.get("stand_in") else ""
        values[f"val/{mark}{SHORT.get(key, key)}"] = score.value
    return values


def _check_whole(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number and at least {least}, got {value!r:.80}")
