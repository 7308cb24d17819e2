"""Encode sounds: python scripts/encode_tokens.py codec_folder=... manifest=... out=..."""

from omegaconf import DictConfig

from audiogen.training.launch import launch


def main(cfg: DictConfig) -> None:
    """Write the folder of codes; started again, it goes on."""
    from audiogen.checkpoint import load_codec
    from audiogen.encode import encode_manifest

    encode_manifest(
        load_codec(cfg.codec_folder),
        cfg.manifest,
        cfg.out,
        segment_duration=cfg.segment_duration,
        batch_size=cfg.batch_size,
        shard_size=cfg.shard_size,
        num_workers=cfg.num_workers,
        device=cfg.device,
    )


if __name__ == "__main__":
    launch(main, config_name="encode_tokens")
