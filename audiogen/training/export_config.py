"""The words of scripts/export.py -> an export."""

from omegaconf import DictConfig

from audiogen.training.launch import RunError

OF_RUN = {"checkpoint": None, "weights": "auto", "codec_folder": None}
OF_MODEL = {"text_encoder": None}


def export(cfg: DictConfig) -> None:
    """Export the run or the model that ``cfg`` (conf/export.yaml) names.

    Raises:
        RunError: if it names both or neither, or has a value that the one it names has no use for.
    """
    if (cfg.run is None) == (cfg.model is None):
        raise RunError("name what to export: either run=RUN_FOLDER or model=FOLDER_OR_HUB_ID")
    if not isinstance(cfg.frames, int) or cfg.frames < 1:
        raise RunError(f"frames must be a whole number of at least 1, got {cfg.frames!r}")
    idle = OF_MODEL if cfg.model is None else OF_RUN
    wrong = [name for name, unset in idle.items() if cfg[name] != unset]
    if wrong:
        kind = "model" if cfg.model is None else "run"
        raise RunError(f"{', '.join(wrong)} is for {kind}=...: leave it out")
    how = {"layout": cfg.format, "dtype": cfg.dtype}
    how |= {"certificate": bool(cfg.certificate), "frames": cfg.frames}
    if cfg.model is None:
        from audiogen.training.export import export_run

        export_run(cfg.run, cfg.out, **how, **{name: cfg[name] for name in OF_RUN})
    else:
        from audiogen.training.export_model import export_model

        export_model(cfg.model, cfg.out, **how, **{name: cfg[name] for name in OF_MODEL})
