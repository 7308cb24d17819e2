"""Write text.npz and t5_tiny: what AudioCraft's conditioner made of captions, and its T5.

    python tests/golden/make_text.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in
float32 (PyTorch 2.11.0). Copied without change: from lm.npz the captions, their tokens and their
states; the projection behind T5, from audiogen_tiny/state_dict.bin; and audiogen_tiny/t5_tiny,
the random T5 and its tokenizer that they were made with.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

COPIED = (
    "texts_json input_ids attention_mask t5_hidden cond_emb cond_mask cfg_input_ids "
    "cfg_attention_mask cfg_cond_emb cfg_cond_mask null_cond_emb null_cond_mask"
).split()
PROJECTION = "condition_provider.conditioners.description.output_proj."
T5_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def main(fixtures: Path) -> None:
    here = Path(__file__).parent
    lm = np.load(fixtures / "lm.npz")
    arrays = {name: lm[name] for name in COPIED}
    saved = torch.load(fixtures / "audiogen_tiny" / "state_dict.bin", weights_only=True)
    for part in ("weight", "bias"):
        arrays[f"projection_{part}"] = saved["best_state"][PROJECTION + part].numpy()
    np.savez_compressed(here / "text.npz", **arrays)
    (here / "t5_tiny").mkdir(exist_ok=True)
    for name in T5_FILES:
        shutil.copyfile(fixtures / "audiogen_tiny" / "t5_tiny" / name, here / "t5_tiny" / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
