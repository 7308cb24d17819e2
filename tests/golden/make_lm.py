"""Write lm.npz: what AudioCraft's language model, interleaving and sampling computed.

    python tests/golden/make_lm.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in
float32 (PyTorch 2.11.0): lm.npz, patterns.npz, training/lm_steps.npz and, for the weights,
audiogen_tiny/state_dict.bin. Arrays are copied without change, but two that are masked here:
``t5_hidden`` is zero where the model never reads it, and ``logits`` is left out, as it is
``logits_allsteps`` where ``mask`` holds.
"""

import sys
from pathlib import Path

import numpy as np
import torch

COPIED = (
    "cond_emb cond_mask codes mask logits_allsteps mask_allsteps ce_per_codebook padding_mask "
    "ce_per_codebook_padded ce_per_codebook_padded_special fw_sequence fw_cond_emb fw_logits "
    "greedy greedy_single greedy_cfg1 greedy_uncond prompt greedy_prompt sampling_logits "
    "probs_t0.7 topk1_t0.7 topk5_t0.7 topk20_t0.7 topk5_t1.0 topp0.1_t0.7 topp0.5_t0.7 "
    "topp0.9_t0.7 topp0.5_t1.0"
).split()
PATTERNS = [
    f"{pattern}{end}"
    for pattern in ("delay", "delay_custom")
    for end in (
        "_seq _idx _mask _rev _rev_mask _revlogits _revlogits_mask _valid_seq _valid_revlogits "
        "_valid_revlogits_mask"
    ).split()
]
STEPS = "tokens metric_lr metric_grad_norm metric_ce metric_ce_q1 metric_ce_q4".split()


def main(fixtures: Path) -> None:
    lm = np.load(fixtures / "lm.npz")
    arrays = {name: lm[name] for name in COPIED}
    arrays["t5_hidden"] = lm["t5_hidden"] * lm["cond_mask"][..., None].astype(np.float32)
    masked = np.where(lm["mask"][..., None], lm["logits_allsteps"], np.nan)
    assert np.array_equal(masked, lm["logits"], equal_nan=True)
    patterns = np.load(fixtures / "patterns.npz")
    arrays |= {f"patterns::{name}": patterns[name] for name in ["codes", "special", *PATTERNS]}
    steps = np.load(fixtures / "training" / "lm_steps.npz")
    names = STEPS + [name for name in steps if name.startswith("after::")]
    arrays |= {f"steps::{name}": steps[name] for name in names}
    saved = torch.load(fixtures / "audiogen_tiny" / "state_dict.bin", weights_only=True)
    arrays |= {f"state::{name}": value.numpy() for name, value in saved["best_state"].items()}
    np.savez_compressed(Path(__file__).with_name("lm.npz"), **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
