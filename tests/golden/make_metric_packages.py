"""Write metric_packages.npz: python make_metric_packages.py (torch-fidelity 0.4.0, ignite 0.5.5).

What two packages that share no code with this project make of the embeddings and logits of
metric_cases.py: Frechet distance, squared discrepancy under a Gaussian kernel, precision and
recall, and Inception score. The kernels want sets of one size, so that both take the first rows.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ignite.metrics import MaximumMeanDiscrepancy
from metric_cases import LOGITS, NEIGHBORS, SEEDS, SETS, SPLITS, embeddings, logits, width
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torch_fidelity.metric_prc import prc_features_to_metric


def frechet(a, b):
    """Return torch-fidelity's Frechet distance."""
    stats = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (a, b)]
    return fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]


def kernels(a, b):
    """Return the squared discrepancy of torch-fidelity, and that of ignite, which ends at zero."""
    same = min(len(a), len(b))
    a, b = a[:same], b[:same]
    metric = MaximumMeanDiscrepancy(var=width(a) ** 2)
    metric.update((torch.from_numpy(a), torch.from_numpy(b)))
    theirs = kernel_mmd(a, b, kid_kernel="rbf", kid_kernel_rbf_sigma=width(a))
    return [theirs, metric.compute() ** 2]


def neighbors(a, b, k):
    """Return torch-fidelity's precision and recall."""
    found = prc_features_to_metric(
        torch.from_numpy(b),
        torch.from_numpy(a),
        prc_neighborhood=k,
        prc_batch_size=10000,
        save_cpu_ram=False,
        verbose=False,
    )
    return [found["precision"], found["recall"]]


def inception(rows, splits):
    """Return torch-fidelity's mean and spread over splits."""
    found = isc_features_to_metric(torch.from_numpy(rows), splits=splits)
    return [found["inception_score_mean"], found["inception_score_std"]]


def main():
    stored = {}
    for seed in SEEDS:
        for name in SETS:
            a, b = embeddings(name, seed)
            stored[f"frechet__{name}__{seed}"] = frechet(a, b)
            stored[f"kernel__{name}__{seed}"] = kernels(a, b)
            for k in NEIGHBORS:
                if min(len(a), len(b)) > k:
                    stored[f"neighbors__{name}__{seed}__{k}"] = neighbors(a, b, k)
        for name in LOGITS:
            for splits in SPLITS:
                stored[f"inception__{name}__{seed}__{splits}"] = inception(
                    logits(name, seed), splits
                )
    packages = ("torch-fidelity", "pytorch-ignite", "torch", "numpy")
    versions = json.dumps({name: version(name) for name in packages})
    path = Path(__file__).parent / "metric_packages.npz"
    np.savez_compressed(path, versions=versions, **stored)


if __name__ == "__main__":
    main()
