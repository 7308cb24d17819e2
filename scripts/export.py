"""Export a model: python scripts/export.py run=RUN_FOLDER out=FOLDER, or model=FOLDER out=FOLDER.

With format=released a codec becomes the file, and a language model with its codec the folder, that
AudioCraft publishes and reads; with format=transformers (or --to transformers) a model becomes a
folder that MusicgenForConditionalGeneration of transformers loads.
"""

import sys

from omegaconf import DictConfig

from audiogen.training.launch import launch, spelled_out


def main(cfg: DictConfig) -> None:
    """Read the model of a run or of a folder, write it, and compare what both give."""
    from audiogen.training.export_config import export

    export(cfg)


if __name__ == "__main__":
    sys.argv = spelled_out(sys.argv, {"--to": "format"})
    launch(main, config_name="export")
