"""From a training run to a model folder or a published one, averaged where there is an average."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from audiogen.certificate import FRAMES, certify_as, rounded_to, witness_of
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.parts import Model
from audiogen.model_folder.write import Check
from audiogen.training.callbacks import WeightAverage
from audiogen.training.checkpoints import is_whole, newest_checkpoint
from audiogen.training.export_model import check_layout, chosen_dtype, write_model
from audiogen.training.launch import RunError

log = logging.getLogger(__name__)

WEIGHTS = ("auto", "average", "trained")


def export_module(
    module: Any,
    out: Path,
    *,
    average: WeightAverage | None,
    card: Mapping[str, Any] | None = None,
    layout: str = "folder",
    dtype: str | None = None,
    certificate: bool = True,
    frames: int = FRAMES,
) -> None:
    """Write a trained module: a codec alone, or a whole model.

    Args:
        module: of a codec or of a language model.
        out: what is written; see `audiogen.training.export_model.write_model`.
        average: whose weights are written instead of the last ones.
        card: what is known of the model, to which updates and kind of weights are added; the
            published file of a codec alone has no place for any of it, and it is left out.
        layout: a name of `audiogen.training.export_model.LAYOUTS`.
        dtype: a name of `audiogen.training.export_model.DTYPES`, of weights that are not written
            as a folder of ours; None is float32.
        certificate: read what is written again, and compare what it gives with what the averaged
            and the last weights give; see `audiogen.certificate`.
        frames: generated for that, of each prompt.

    Raises:
        RunError: if the module trained something else, or layout or dtype are unknown.
        ValueError: if the layout has no words for a part of it.
        CertificateError: if what is written gives anything else; nothing is written then.
    """
    check_layout(layout)
    chosen = chosen_dtype(layout, dtype)
    last = witness_of(_parts(module), frames=frames) if certificate else None
    with nullcontext() if average is None else average.applied(module.averaged):
        model = _parts(module)
        check: Check | None = None
        if last is not None:
            witnesses = {"trained": last}
            if average is not None:
                witnesses["average"] = witness_of(model, frames=frames)
            if chosen is not None:
                written = f"{list(witnesses)[-1]} in {dtype}"
                witnesses[written] = witness_of(rounded_to(model, chosen), frames=frames)
            check = certify_as(layout, model, witnesses, frames=frames)
        facts = _facts(card or {}, module, average, layout=layout)
        if layout == "folder":
            module.export(out, card=facts, check=check)
        else:
            write_model(model, out, layout=layout, dtype=chosen, card=facts, check=check)


def _facts(
    card: Mapping[str, Any], module: Any, average: WeightAverage | None, *, layout: str
) -> dict[str, Any]:
    """Add how long a module was trained, and which of its weights are written."""
    if layout != "folder" and isinstance(getattr(module, "codec", None), Codec):
        return {}
    weights = "as trained" if average is None else f"moving average, decay {average.decay:g}"
    facts = {**card, "updates": module.updates, "weights": weights}
    inherited = getattr(module, "card_of", None)  # fine-tuning: a licence goes on to bind
    return facts if inherited is None or layout == "folder" else dict(inherited(facts))


def _parts(module: Any) -> Codec | Model:
    """Return what a module trained, on the CPU in eval mode: a codec, or a whole model."""
    if isinstance(getattr(module, "codec", None), Codec):
        module.codec.quantizer.bypass = False
        return module.codec.cpu().eval()
    if not isinstance(getattr(module, "lm", None), TokenLM):
        raise RunError(
            f"a {type(module).__name__} trained neither a codec nor a language model: nothing of "
            "it can be exported"
        )
    if isinstance(module.text, torch.nn.Module):
        module.text.cpu()
    module.lm.cpu()  # first: adapters are merged into a copy, for which a GPU may have no room
    return Model(
        text=module.text,
        lm=getattr(module, "plain_lm", module.lm).cpu().eval(),
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
    weights: str = "auto",
    certificate: bool = True,
    frames: int = FRAMES,
) -> None:
    """Rebuild the module of a run folder, load a checkpoint of it and export it.

    Args:
        run: the run folder.
        out: what is written: a model folder, or a file or folder in the published layout.
        checkpoint: a file; None is the newest whole one.
        codec_folder: for a language model, the codec of its codes.
        layout: "folder", ours; "released", the published one; "transformers", MusicGen's.
        dtype: of the weights in the other layouts; see `export_module`.
        weights: "average", "trained" (the last ones), or "auto": averaged if the run averages.
        certificate: as in `export_module`, as is ``frames``.
        frames: of each prompt.

    Raises:
        RunError: if the folder is not a run, the checkpoint is missing or damaged, or has no
            average.
    """
    check_layout(layout)
    if weights not in WEIGHTS:
        raise RunError(f"weights must be one of {', '.join(WEIGHTS)}; got {weights!r}")
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
    average = _average(cfg, state, path, weights)
    card = {**(cfg.get("card") or {}), "run": Path(run).name}
    export_module(
        module,
        Path(out),
        average=average,
        card=card,
        layout=layout,
        dtype=dtype,
        certificate=certificate,
        frames=frames,
    )
    log.info("%s is written, from %s", out, path)


def _average(
    cfg: DictConfig, state: Mapping[str, Any], path: Path, weights: str
) -> WeightAverage | None:
    """Return the average of a checkpoint, if it is to be written."""
    configured = cfg.get("average")
    if weights == "trained" or not (configured or weights == "average"):
        return None
    average = instantiate(configured, _convert_="all") if configured else None
    kept = None if average is None else state.get("callbacks", {}).get(average.state_key)
    if average is None or not kept or not kept.get("average"):
        raise RunError(
            f"{path} holds no averaged weights: set weights=trained for the last ones, or name "
            "another checkpoint"
        )
    average.load_state_dict(kept)
    return average


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise RunError(f"{path} does not exist: name the folder of a training run")
    return path
