"""Cut tests/golden/codec_training.npz out of the reference arrays: what codec.npz leaves out.

    python tests/golden/make_codec_training.py FOLDER

FOLDER holds what AudioCraft 1.4.0a2 computed (PyTorch 2.11.0, CPU, float32, one thread):
training/{vq,losses,msstftd,balancer,optim,codec_steps}.npz and the codec that took the steps,
audiogen_tiny/compression_state_dict.bin. Names in the result are CASE/ARRAY, and
codec_base/state/KEY for that codec's own state dict. Every array of those files is in one of the
two golden files, strings as JSON in 0-d arrays.
"""

import sys
from pathlib import Path

import numpy as np
import torch

CASES = ("vq", "losses", "msstftd", "balancer", "optim", "codec_steps")


def cut(folder: Path) -> dict[str, np.ndarray]:
    """Collect every array of the cases that codec.npz does not have."""
    there = np.load(Path(__file__).with_name("codec.npz")).files
    kept = {}
    for case in CASES:
        arrays = np.load(folder / "training" / f"{case}.npz")
        kept |= {f"{case}/{name}": arrays[name] for name in arrays}
    package = torch.load(folder / "audiogen_tiny/compression_state_dict.bin", weights_only=True)
    state = package["best_state"]
    kept |= {f"codec_base/state/{key}": value.numpy() for key, value in state.items()}
    return {name: value for name, value in kept.items() if name not in there}


if __name__ == "__main__":
    arrays = cut(Path(sys.argv[1]))
    np.savez_compressed(Path(__file__).with_name("codec_training.npz"), **arrays)
