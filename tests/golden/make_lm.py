"""Write lm.npz and lm_alt.npz: what AudioCraft's language models computed, and their weights.

    python tests/golden/make_lm.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in
float32 (PyTorch 2.11.0): lm.npz, lm_alt.npz, training/lm_steps.npz and, for the weights,
audiogen_tiny/state_dict.bin and lm_alt/state_dict.bin. Arrays are copied without change, but
``t5_hidden``, which is zero here where the model never reads it. Left out is what belongs to the
text encoder, and what follows from the rest, as asserted below.
"""

import sys
from pathlib import Path

import numpy as np
import torch

LEFT_OUT = [
    *["texts_json", "input_ids", "attention_mask", "cfg_input_ids", "cfg_attention_mask"],
    *["cfg_cond_mask", "generation_params", "logits", "cfg_cond_emb"],
    *["null_cond_emb", "null_cond_mask"],
]
STEPS = ["tokens", "metric_lr", "metric_grad_norm", "metric_ce", "metric_ce_q1", "metric_ce_q4"]


def read_model(fixtures: Path, name: str, weights: str) -> dict[str, np.ndarray]:
    """Return the arrays of a model, and its weights as ``state::...``."""
    source = np.load(fixtures / f"{name}.npz")
    arrays = {key: source[key] for key in source if key not in LEFT_OUT}
    arrays["t5_hidden"] = arrays["t5_hidden"] * arrays["cond_mask"][..., None].astype(np.float32)
    masked = np.where(arrays["mask"][..., None], arrays["logits_allsteps"], np.nan)
    assert np.array_equal(masked, source["logits"], equal_nan=True)
    captioned, nobody = np.split(source["cfg_cond_emb"], 2)
    assert np.array_equal(captioned, arrays["cond_emb"])
    assert not nobody.any()
    assert not source["null_cond_emb"].any()
    saved = torch.load(fixtures / weights / "state_dict.bin", weights_only=True)
    state = {f"state::{key}": value.numpy() for key, value in saved["best_state"].items()}
    return arrays | state


def main(fixtures: Path) -> None:
    here = Path(__file__)
    steps = np.load(fixtures / "training" / "lm_steps.npz")
    names = STEPS + [name for name in steps if name.startswith("after::")]
    arrays = read_model(fixtures, "lm", "audiogen_tiny")
    arrays |= {f"steps::{name}": steps[name] for name in names}
    np.savez_compressed(here.with_name("lm.npz"), **arrays)
    np.savez_compressed(here.with_name("lm_alt.npz"), **read_model(fixtures, "lm_alt", "lm_alt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
