"""Cut pipeline.npz: what AudioCraft's whole models generated, and how they are configured.

    python tests/golden/make_pipeline.py FIXTURES

FIXTURES is the folder of arrays that the original AudioCraft 1.4.0a2 computed on a CPU in float32
(PyTorch 2.11.0): pipeline.npz, and the configurations in audiogen_tiny and lm_alt, whose weights are
in lm.npz and lm_alt.npz. Sounds are left out: the codec's are in codec.npz. ``cont24_prompt`` is the
beginning of what continues a stereo sound at 24 kHz.
"""

import sys
from pathlib import Path

import numpy as np
import torch


def main(fixtures: Path) -> None:
    pipeline = np.load(fixtures / "pipeline.npz")
    kept = [k for k in pipeline if k.endswith(("_tokens", "_params", "_json"))]
    arrays = {name: pipeline[name] for name in kept}
    frames = pipeline["cont16_prompt_tokens"].shape[-1]
    arrays["cont24_prompt"] = pipeline["cont24_tokens"][..., :frames]
    for name in ("audiogen_tiny", "lm_alt"):
        package = torch.load(fixtures / name / "state_dict.bin", weights_only=True)
        arrays[f"xp.cfg::{name}"] = np.array(package["xp.cfg"])
    np.savez_compressed(Path(__file__).with_name("pipeline.npz"), **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
