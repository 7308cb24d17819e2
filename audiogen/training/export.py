"""From a training run to a model folder or a published file, averaged where there is an average."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.parts import Model
from audiogen.released import export_released
from audiogen.training.callbacks import WeightAverage
from audiogen.training.checkpoints import is_whole, newest_checkpoint
from audiogen.training.launch import RunError

log = logging.getLogger(__name__)

LAYOUTS = ("folder", "released")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def export_module(
    module: Any, folder: Path, *, average: WeightAverage | None, card: dict[str, Any]
) -> None:
    """Write a trained module; ``card`` is what the caller says about it."""
    card = _with_facts(card, module, average)
    with nullcontext() if average is None else average.applied(module.averaged):
        module.export(folder, card=card)


def _with_facts(card: dict[str, Any], module: Any, average: WeightAverage | None) -> dict[str, Any]:
    """Add how long a module was trained, and which of its weights are written."""
    weights = "as trained" if average is None else f"moving average, decay {average.decay:g}"
    return {**card, "updates": module.updates, "weights": weights}


def export_released_module(
    module: Any,
    out: Path,
    *,
    average: WeightAverage | None,
    card: dict[str, Any] | None = None,
    dtype: str | None = None,
) -> None:
    """Write a trained module in the published layout: a codec alone, or a whole model.

    Args:
        module: of a codec or of a language model.
        out: see `audiogen.released.export_released`.
        average: whose weights are written instead of the last ones.
        card: what is known of a whole model, to which updates and kind of weights are added; the
            file of a codec alone has no place for any of it, and it is left out.
        dtype: a name of `DTYPES`; None is float32.

    Raises:
        RunError: if the module trained something else, or the dtype is unknown.
        ValueError: if the layout has no words for a part of it.
    """
    if dtype is not None and dtype not in DTYPES:
        raise RunError(f"dtype must be one of {', '.join(DTYPES)}, or null; got {dtype!r}")
    chosen = None if dtype is None else DTYPES[dtype]
    with nullcontext() if average is None else average.applied(module.averaged):
        if isinstance(getattr(module, "codec", None), Codec):
            export_released(module.codec, out, dtype=chosen)
        elif isinstance(getattr(module, "lm", None), TokenLM):
            facts = _with_facts(card or {}, module, average)
            export_released(_whole(module), out, dtype=chosen, card=facts)
        else:
            raise RunError(
                f"a {type(module).__name__} trained neither a codec nor a language model: leave "
                "format=folder"
            )


def _whole(module: Any) -> Model:
    """Join a trained language model with the codec of its codes, on the CPU."""
    return Model(
        text=module.text,
        lm=module.lm.cpu().eval(),
        codec=module.load_codec(),
        max_duration=module.header["segment_frames"] / module.header["frame_rate"],
        config={},
    )


def export_run(
    run: str | Path,
    out: str | Path,
    *,
    checkpoint: str | None = None,
    codec_folder: str | None = None,
    layout: str = "folder",
    dtype: str | None = None,
) -> None:
    """Rebuild the module of a run folder, load a checkpoint of it and export it.

    Args:
        run: the run folder.
        out: what is written: a model folder, or a file or folder in the published layout.
        checkpoint: a file; None is the newest whole one.
        codec_folder: for a language model, the codec of its codes.
        layout: "folder", ours; or "released", the published one.
        dtype: of the weights in the published layout; see `export_released_module`.

    Raises:
        RunError: if the folder is not a run, or the checkpoint is missing or damaged.
    """
    if layout not in LAYOUTS:
        raise RunError(f"format must be one of {', '.join(LAYOUTS)}; got {layout!r}")
    cfg = OmegaConf.load(_existing(Path(run) / "config.yaml"))
    assert isinstance(cfg, DictConfig)
    if codec_folder is not None:
        cfg.module.codec_folder = codec_folder
    folder = Path(run) / "checkpoints"
    path = newest_checkpoint(folder) if checkpoint is None else Path(checkpoint)
    if path is None or not is_whole(path):
        raise RunError(f"{path or folder} holds no whole checkpoint: train first, or name another")
    state = torch.load(path, map_location="cpu", weights_only=True)
    module = instantiate(cfg.module, _convert_="all")
    module.load_state_dict(state["state_dict"])
    module.on_load_checkpoint(state)
    average = instantiate(cfg.average, _convert_="all") if cfg.get("average") else None
    if average is not None:
        average.load_state_dict(state["callbacks"][average.state_key])
    card = {**(cfg.get("card") or {}), "run": Path(run).name}
    if layout == "released":
        export_released_module(module, Path(out), average=average, card=card, dtype=dtype)
    else:
        export_module(module, Path(out), average=average, card=card)
    log.info("%s is written, from %s", out, path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise RunError(f"{path} does not exist: name the folder of a training run")
    return path
