"""Gaussian statistics of embeddings, and the Frechet distance between two of them.

Only math on tensors, apart from the streaming `FrechetDistance`, whose torchmetrics takes longer
to load than a small evaluation takes to run.
"""

import torch
from torch import Tensor


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance between N(mean_a, cov_a) and N(mean_b, cov_b).

    Args:
        mean_a: float [D]; computed in float64 whatever it comes in.
        cov_a: float [D, D], symmetric positive semi-definite; singular is fine.
        mean_b: float [D].
        cov_b: float [D, D], likewise.

    Returns:
        float64 scalar, at least zero up to rounding; it is not clamped.

    Raises:
        ValueError: if shapes disagree, a value is not finite, a covariance is not symmetric
            positive semi-definite, or the distance is above the largest number.

    The trace of sqrt(cov_a @ cov_b) is the nuclear norm of A.T @ B for any roots cov_a = A @ A.T,
    cov_b = B @ B.T. Its singular values are real, so no imaginary part is discarded and no epsilon
    is added, and with rank-deficient covariances it keeps all digits where sqrtm loses half.

    Source: Dowson and Landau 1982; Heusel et al. 2017 (arXiv:1706.08500).

    >>> eye = torch.eye(2).double()
    >>> float(frechet_distance(torch.zeros(2), eye, torch.tensor([3.0, 4.0]), 4 * eye))
    27.0
    """
    mean_a, root_a, trace_a = _check_gaussian(mean_a, cov_a)
    mean_b, root_b, trace_b = _check_gaussian(mean_b, cov_b)
    if mean_a.shape != mean_b.shape:
        raise ValueError(
            f"expected two Gaussians of one dimension, got {len(mean_a)} and {len(mean_b)}: "
            "embed both sets with the same embedder"
        )
    cross = torch.linalg.svdvals(root_a.T @ root_b).sum()
    return finite_distance((mean_a - mean_b).square().sum() + trace_a + trace_b - 2 * cross)


def finite_distance(distance: Tensor) -> Tensor:
    """Return a distance that is a number; raise a ValueError for one that is too large for it."""
    if not distance.isfinite():
        raise ValueError(
            "the sets are too far apart or too wide for a finite distance: check the embeddings"
        )
    return distance


def merge_moments(moments: Tensor) -> Tensor:
    """Merge packed moments of R disjoint sets into those of their union.

    Args:
        moments: float64 [R, 1 + D + D * D]: count, mean, and scatter (the sum of outer products
            of deviations from that mean), flattened. A count of zero is an empty set.

    Returns:
        float64 [1 + D + D * D].

    Deviations are taken from a mean, never from zero: the sum of raw outer products loses the
    covariance's digits when the mean is large beside it.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """
    dim = _dim_of(moments.shape[-1])
    count, mean, scatter = moments.split([1, dim, dim * dim], dim=1)
    total = count.sum().clamp(min=1)
    base = mean[count.argmax()]
    merged_mean = base + (count * (mean - base)).sum(dim=0) / total
    shift = (mean - merged_mean) * count.sqrt()
    merged_scatter = scatter.sum(dim=0) + (shift.T @ shift).flatten()
    return torch.cat([count.sum()[None], merged_mean, merged_scatter])


def pack_moments(embeddings: Tensor) -> Tensor:
    """Return the packed moments of embeddings, float [N, D] -> float64 [1 + D + D * D]."""
    embeddings = embeddings.double()
    count = torch.tensor([float(len(embeddings))], dtype=torch.float64, device=embeddings.device)
    mean = embeddings.sum(dim=0) / count.clamp(min=1)
    deviations = embeddings - mean
    return torch.cat([count, mean, (deviations.T @ deviations).flatten()])


def unpack_gaussian(moments: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return count, mean [D] and unbiased covariance [D, D] of packed moments.

    Raises:
        ValueError: if there are fewer than two embeddings.
    """
    dim = _dim_of(moments.shape[-1])
    count, mean, scatter = moments.split([1, dim, dim * dim])
    if count < 2:
        raise ValueError(f"a covariance needs two or more embeddings, got {int(count)}")
    return int(count), mean, scatter.view(dim, dim) / (count - 1)


def gaussian_root(cov: Tensor) -> Tensor:
    """Return a root A [D, D] with A @ A.T = cov of a symmetric positive semi-definite float64."""
    return _root_of(*torch.linalg.eigh(cov))


def small_sample_text(count: int, dim: int, *, side: str) -> str | None:
    """Say that a set has too few embeddings for the rank of its covariance; None if it has not."""
    if count > dim:
        return None
    return (
        f"{count} {side} embeddings for {dim} dimensions: the covariance is rank deficient and "
        "the distance too large to compare with others. Score more sounds."
    )


def _check_gaussian(mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [D], a root [D, D] of the covariance, and its trace, all float64."""
    if mean.ndim != 1 or len(mean) < 1 or cov.shape != (len(mean), len(mean)):
        raise ValueError(
            f"expected a mean [D] and a covariance [D, D], got {list(mean.shape)} and "
            f"{list(cov.shape)}"
        )
    mean, cov = mean.double(), cov.double()
    if not (mean.isfinite().all() and cov.isfinite().all()):
        raise ValueError("mean or covariance holds NaN or infinite values: check the embeddings")
    tolerance = 1e-4 * cov.abs().max()  # passes statistics that were stored as float32
    if (cov - cov.T).abs().max() > tolerance:
        raise ValueError("a covariance must be symmetric: cov and cov.T differ")
    values, vectors = torch.linalg.eigh((cov + cov.T) / 2)
    if values[0] < -tolerance:
        raise ValueError(
            f"a covariance must be positive semi-definite, got eigenvalue {float(values[0]):.3g}"
        )
    return mean, _root_of(values, vectors), cov.trace()


def _root_of(values: Tensor, vectors: Tensor) -> Tensor:
    # Below this an eigenvalue is rounding, and its square root would be far larger than it.
    floor = len(values) * torch.finfo(torch.float64).eps * values[-1]
    return vectors * torch.where(values > floor, values, 0.0).sqrt()


def _dim_of(packed: int) -> int:
    """Solve packed = 1 + D + D * D for D."""
    return round((4 * packed - 3) ** 0.5 - 1) // 2
