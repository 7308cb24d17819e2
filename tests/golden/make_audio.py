"""Write audio.npz and mixing.npz: what AudioCraft's levels, resampling and mixing computed.

    python tests/golden/make_audio.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in
float32 (PyTorch 2.11.0): audio.npz and training/mix.npz. Numbers are copied without change, but
for the two texts of mix.npz, which are in the test.
"""

import sys
from pathlib import Path

import numpy as np


def main(fixtures: Path) -> None:
    for name, source in (("audio", "audio.npz"), ("mixing", "training/mix.npz")):
        arrays = np.load(fixtures / source)
        numbers = {key: arrays[key] for key in arrays.files if arrays[key].dtype.kind != "U"}
        np.savez_compressed(Path(__file__).with_name(f"{name}.npz"), **numbers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
