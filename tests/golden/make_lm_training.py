"""Write lm_training.npz: what lm.npz leaves out of four training steps of AudioCraft.

    python tests/golden/make_lm_training.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in float32
(PyTorch 2.11.0). Of training/lm_steps.npz every array is in one of the two golden files, without
change, strings as JSON in 0-d arrays. The weights that the steps begin with are in lm.npz, and the
codec of the sounds is codec_base of codec.npz and codec_training.npz.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def main(fixtures: Path) -> None:
    there = np.load(HERE / "lm.npz").files
    steps = np.load(fixtures / "training" / "lm_steps.npz")
    kept = {name: steps[name] for name in steps if f"steps::{name}" not in there}
    np.savez_compressed(HERE / "lm_training.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
