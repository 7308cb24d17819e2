"""From a configuration to a trained, exported model; started again, it continues or is done."""

import logging
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig

from audiogen.training.identity import module_config, register_resolvers, run_id
from audiogen.training.launch import RunError
from audiogen.training.numbers import check_numbers
from audiogen.training.run_folder import RunFolder

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

log = logging.getLogger(__name__)

# In this order: samples are made of averaged weights, alarms read what scores have written.
CALLBACKS = ("average", "samples", "scores", "alarms")
SIGNALLED = 128  # exit code of a stopped process, plus the number of the signal, as shells count


def fit(cfg: DictConfig) -> dict[str, float]:
    """Train what ``cfg`` names to its end and export it; return the last value of each metric.

    The run folder decides where to begin: finished, nothing is done; with checkpoints, training
    goes on from the newest whole one (``resume_from: auto``). Stopped by Ctrl-C, SIGTERM or
    SIGUSR1, the process saves and exits with 128 plus the signal's number.

    Raises:
        RunError: if the folder belongs to another configuration or another process.
    """
    register_resolvers()
    check_numbers(cfg)
    run = RunFolder.claim(cfg)
    export_to = cfg.get("export_to")
    metrics = run.finished(export_to)
    if metrics is not None:
        log.info("%s is finished; nothing to do", run.path)
        return metrics
    from audiogen.model_folder.write import check_target
    from audiogen.training.checkpoints import StopRequested  # loads lightning, and so late

    try:
        if export_to:
            check_target(Path(export_to))  # hours later is too late
        return _train(cfg, run, export_to)
    except StopRequested as stop:
        log.warning("%s; start the same command again to continue", stop)
        sys.exit(SIGNALLED + stop.number)
    except (ValueError, OSError, HydraException):
        run.abandon()  # a mistake leaves no folder behind
        raise


def _train(cfg: DictConfig, run: RunFolder, export_to: str | None) -> dict[str, float]:
    import lightning

    from audiogen.training.history import HistoryLogger

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's own use of torch
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    data = instantiate(cfg.data, _convert_="all")
    data.setup("fit")  # what is not there is said before weights are drawn or fetched
    module = instantiate(module_config(cfg), _convert_="all")
    history = HistoryLogger(run.path)
    trainer = _trainer(cfg, run, history)
    _check_numerics(cfg, trainer, module)
    if trainer.is_global_zero:
        with run.locked():
            _fit(cfg, run, trainer, module, data)
            metrics = history.latest()
            if export_to:
                _export(cfg, run, trainer, module, export_to)
            run.finish(metrics, export_to)
            log.info("%s", _where(run, export_to))
            return metrics
    _fit(cfg, run, trainer, module, data)
    return {}


def _export(
    cfg: DictConfig, run: RunFolder, trainer: "Trainer", module: Any, export_to: str
) -> None:
    """Write the model; what several processes trained is surely whole in the last checkpoint."""
    from audiogen.training.callbacks import WeightAverage
    from audiogen.training.export import export_module, export_run

    if trainer.world_size > 1:
        codec_folder = cfg.module.get("codec_folder")
        export_run(run.path, export_to, codec_folder=codec_folder)
        return
    used = trainer.callbacks  # type: ignore[attr-defined]
    averages = [c for c in used if isinstance(c, WeightAverage)]
    card = {**(cfg.get("card") or {}), "run": run_id(_root_=cfg)}
    average = averages[0] if averages else None
    export_module(module, Path(export_to), average=average, card=card)


def _check_numerics(cfg: DictConfig, trainer: "Trainer", module: "LightningModule") -> None:
    from audiogen.training.codec_module import CodecModule
    from audiogen.training.precision import check_lm_precision, check_precision
    from audiogen.training.sharding import check_strategy

    check_strategy(trainer.strategy, shardable=not isinstance(module, CodecModule))
    configured = str(cfg.trainer.get("precision"))
    if isinstance(module, CodecModule):
        check_precision(configured)
    else:
        check_lm_precision(configured, str(trainer.precision))


def _where(run: RunFolder, export_to: str | None) -> str:
    """Say in one line where a finished run and its last checkpoint are, and how to export it."""
    last = max(run.checkpoints.glob("step-*.ckpt"), default=None)
    text = f"{run.path} is finished" + (f", its last checkpoint is {last}" if last else "")
    if export_to:
        return f"{text}; exported to {export_to}"
    if last is None:
        return text
    command = shlex.join(["python", "scripts/export.py", f"run={run.path}", "out=MODEL_FOLDER"])
    return f"{text}; to export it: {command}"


def _fit(
    cfg: DictConfig, run: RunFolder, trainer: "Trainer", module: "LightningModule", data: Any
) -> None:
    from lightning.pytorch.loggers import WandbLogger

    from audiogen.products import products  # loads torch, and so late

    checkpoint = _checkpoint(cfg.resume_from, run.checkpoints)
    log.info("%s: %s", run.path, f"continuing {checkpoint}" if checkpoint else "a new run")
    try:
        with products(cfg.get("products", "default")):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    finally:
        for logger in trainer.loggers:
            # wandb would lend its page to the next run of a sweep in this process.
            if isinstance(logger, WandbLogger) and trainer.is_global_zero:
                logger.experiment.finish()


def _trainer(cfg: DictConfig, run: RunFolder, history: Any) -> "Trainer":
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from audiogen.training.callbacks import RandomStreams
    from audiogen.training.checkpoints import AtomicCheckpointIO, Checkpointer
    from audiogen.training.progress import StepProgress

    used: list[Any] = [
        RandomStreams(seed=cfg.seed),
        Checkpointer(run.checkpoints, every=cfg.checkpoint_every),
    ]
    if cfg.trainer.get("enable_progress_bar", True):
        used.append(StepProgress())
    chosen = [cfg[name] for name in CALLBACKS if cfg.get(name)]
    used += [instantiate(node, _convert_="all") for node in chosen]
    extra = instantiate(cfg.logger, _convert_="all") if cfg.get("logger") else None
    make = instantiate(cfg.trainer, _partial_=True, _convert_="all")
    try:
        trainer: Trainer = make(
            callbacks=used,
            logger=[history, *([extra] if extra else [])],
            plugins=[AtomicCheckpointIO()],
            default_root_dir=str(run.path),
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        reason = str(error).rstrip(".! ")
        raise RunError(f"trainer: {reason}; choose another trainer=... or other values") from error
    return trainer


def _checkpoint(resume_from: str | None, folder: Path) -> str | None:
    """Return what to continue from: this run's newest checkpoint, then the one asked for.

    A requeued job is started with the words it was first started with, so its own progress comes
    before a path.
    """
    from audiogen.training.checkpoints import is_whole, newest_checkpoint

    own = newest_checkpoint(folder)
    if resume_from is None:
        if own is not None:
            raise RunError(
                f"{folder} holds checkpoints and resume_from is null: remove the run folder to "
                "begin anew, or set resume_from=auto"
            )
        return None
    if own is not None:
        return str(own)
    if resume_from == "auto":
        return None
    if not is_whole(Path(resume_from)):
        raise RunError(f"resume_from={resume_from} is not a whole checkpoint: give another file")
    return resume_from
