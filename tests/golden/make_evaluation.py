"""Cut the evaluation golden arrays out of the reference arrays: python make_evaluation.py FOLDER.

FOLDER holds frechet.npz and kld.npz as made in 2026-11 with numpy 2.4.6, scipy 1.17.1 and torch
2.11.0 on a CPU. frechet: `__svd` is the nuclear norm of the data factors, `__mp50` the same
distance with 50 digits (mpmath). kld: AudioCraft's KL(reference || generated) with 1e-6 inside the
logarithm of the generated side, the reverse, audioldm_eval's sigmoid sum, and the exact value.
"""

import sys
from pathlib import Path

import numpy as np

CASES = (
    "well8",
    "zero_cov_one",
    "both_zero_cov",
    "diag_commuting",
    "scale_1e-6",
    "illcond32",
    "disjoint_support",
)
PARTS = ("mu1", "sigma1", "mu2", "sigma2", "svd", "mp50")
KLD = (
    "target_logits",
    "pred_logits",
    "kld_pq_per_item",
    "kld_qp_per_item",
    "kld_both",
    "audioldm_sigmoid",
    "exact_no_eps_pq",
)


def main(source: Path) -> None:
    """Write frechet.npz and kld.npz beside this file."""
    here = Path(__file__).parent
    frechet = np.load(source / "frechet.npz")
    keys = [f"{case}__{part}" for case in CASES for part in PARTS]
    np.savez_compressed(here / "frechet.npz", **{key: frechet[key] for key in keys})
    kld = np.load(source / "kld.npz")
    np.savez_compressed(here / "kld.npz", **{key: kld[key] for key in KLD})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
