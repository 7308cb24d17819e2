"""Cut tests/golden/codec.npz out of the reference arrays.

    python tests/golden/make_codec.py FOLDER

FOLDER holds what AudioCraft 1.4.0a2 computed (PyTorch 2.11.0, CPU, float32, one thread; weights and
codebooks random): codec_{causal,renorm,nq8}.npz beside a folder of the same name with the state
dict, and training/{vq,msstftd,losses,balancer}.npz. Names in the result are CASE/ARRAY, and
CASE/state/KEY for the reference's own state dict.
"""

import sys
from pathlib import Path

import numpy as np
import torch

CODECS = ("codec_causal", "codec_renorm", "codec_nq8")
# Of each codec the second item: a batch of two whose length is no multiple of the hop.
OUTPUTS = ("x1", "codes1", "latent1", "decoded1", "forward1", "scale1", "bandwidth1")
DISCRIMINATOR = ("real", "fake", "hinge_adv", "hinge_feat", "hinge_adv_grad", "hinge_feat_grad")
LOSSES = ("y_pred", "y", "l1", "msspec", "msspec_grad", "msspec_unnormalized", "mel", "sisnr")


def cut(folder: Path) -> dict[str, np.ndarray]:
    """Collect the arrays that the tests compare with."""
    kept = {}
    for case in CODECS:
        arrays = np.load(folder / f"{case}.npz")
        kept |= {f"{case}/{name}": arrays[name] for name in OUTPUTS if name in arrays}
        package = torch.load(folder / case / "compression_state_dict.bin", weights_only=True)
        state = package["best_state"]
        kept |= {f"{case}/state/{key}": value.numpy() for key, value in state.items()}
    training = folder / "training"
    discriminator = np.load(training / "msstftd.npz")
    names = [*DISCRIMINATOR, "hinge_dloss_steps", "disc0_fmap3", "disc2_fmap1"]
    names += [f"disc{i}_logits" for i in range(3)]
    kept |= {f"msstftd/{name}": discriminator[name] for name in names}
    state = torch.load(training / "msstftd.bin", weights_only=True)["state_dict"]
    kept |= {f"msstftd/state/{key}": value.numpy() for key, value in state.items()}
    losses = np.load(training / "losses.npz")
    names = [*LOSSES, "sisnr_grad", "sisnr_seg0.1", "sisnr_seg0.2"]
    kept |= {f"losses/{name}": losses[name] for name in names}
    for case in ("balancer", "vq"):
        arrays = np.load(training / f"{case}.npz")
        wanted = [name for name in arrays if not name.startswith(("expire", "orthogonal"))]
        kept |= {f"{case}/{name}": arrays[name] for name in wanted}
    return kept


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("codec.npz"), **cut(Path(sys.argv[1])))
