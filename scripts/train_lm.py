"""Train the token language model: python scripts/train_lm.py experiment=audiogen_small."""

from omegaconf import DictConfig

from audiogen.training.launch import launch


def main(cfg: DictConfig) -> float | None:
    """Train, and return the validation loss for a sweeper to minimize."""
    from audiogen.training.run import fit  # after Hydra, so that --help and --cfg stay instant

    return fit(cfg).get("val/loss")


if __name__ == "__main__":
    launch(main, config_name="train_lm")
