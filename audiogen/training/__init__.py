"""Training: the only place that loads lightning, hydra, omegaconf and wandb."""
