"""Export a checkpoint as a model folder: python scripts/export.py run=RUN_FOLDER out=FOLDER.

With format=released a codec becomes the file, and a language model with its codec the folder, that
AudioCraft publishes and reads.
"""

from omegaconf import DictConfig

from audiogen.training.launch import launch


def main(cfg: DictConfig) -> None:
    """Rebuild the model of a run, load its weights, averaged if there are such, and write it."""
    from audiogen.training.export import export_run

    export_run(
        cfg.run,
        cfg.out,
        checkpoint=cfg.checkpoint,
        codec_folder=cfg.codec_folder,
        layout=cfg.format,
        dtype=cfg.dtype,
    )


if __name__ == "__main__":
    launch(main, config_name="export")
