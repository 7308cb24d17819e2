"""Write patterns.npz: what AudioCraft's interleaving patterns computed.

    python tests/golden/make_patterns.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed (PyTorch 2.11.0);
patterns.npz is copied without change, in the smallest integers that hold it.
"""

import sys
from pathlib import Path

import numpy as np


def main(fixtures: Path) -> None:
    arrays = {}
    for name, array in np.load(fixtures / "patterns.npz").items():
        small = array.astype(np.int16) if array.dtype == np.int64 else array
        assert np.array_equal(small, array, equal_nan=array.dtype.kind == "f")
        arrays[name] = small
    np.savez_compressed(Path(__file__).with_name("patterns.npz"), **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
