"""Generate sounds: python scripts/generate.py model=... captions=... sampling.guidance_scale=3."""

import sys

from omegaconf import DictConfig

from audiogen.training.launch import command_line, launch


def main(cfg: DictConfig) -> None:
    """Hand the configuration to `audiogen generate`, which goes on where it was stopped."""
    from audiogen.cli import main as audiogen

    options = {
        "prompts": cfg.captions,
        "model": cfg.model,
        "out": cfg.out,
        "duration": cfg.duration,
        "seed": cfg.seed,
        "batch-size": cfg.batch_size,
        "device": cfg.device,
        "level": cfg.level,
        "text-encoder": cfg.text_encoder,
        "codec": cfg.codec,
        "guidance-scale": cfg.sampling.guidance_scale,
        "temperature": cfg.sampling.temperature,
        "top-k": cfg.sampling.top_k,
        "top-p": cfg.sampling.top_p,
    }
    if code := audiogen(["generate", *command_line(options)]):
        sys.exit(code)


if __name__ == "__main__":
    launch(main, config_name="generate")
